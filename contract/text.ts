// Texts with `{name}` placeholders, in every language of the product.

/** Fills placeholders from details; lists are joined by commas, unknown placeholders stay visible. */
export function fillText(template: string, details: Readonly<Record<string, unknown>>): string {
  return template.replace(/\{(\w+)\}/g, (whole, key: string) => {
    const value = details[key]
    if (value === undefined) return whole
    return Array.isArray(value) ? value.join(', ') : String(value)
  })
}
