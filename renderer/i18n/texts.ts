// Both languages of a section of the window, side by side; the type makes a missing translation an error.

/** The same keys with any text: what a translation of T must provide. */
export type Translation<T> = { [K in keyof T]: T[K] extends string ? string : Translation<T[K]> }

export interface Section<T> {
  en: T
  zh: Translation<T>
}

/** Pairs the English texts of a section with their Chinese translation. */
export function section<T>(en: T, zh: Translation<T>): Section<T> {
  return { en, zh }
}
