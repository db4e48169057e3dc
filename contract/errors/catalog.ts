// Shape of an error text catalogue: one entry per stable code, in every language of the product.

export type Locale = 'en' | 'zh'

/** `{name}` placeholders are filled from the error's details. The hint says what to do next. */
export interface ErrorText {
  message: string
  hint: string
}

export type ErrorCatalog = Record<`E_${string}`, Record<Locale, ErrorText>>
