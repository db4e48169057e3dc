// Text matching of search boxes, filters and the command palette, and wildcard layer patterns. Pure.

/** True when every word of the query occurs in the text, in any order, without regard to case. */
export function matchesWords(text: string, query: string): boolean {
  const haystack = text.toLowerCase()
  return query
    .toLowerCase()
    .split(/\s+/)
    .every((word) => haystack.includes(word))
}

/** Score of a text for a query: higher is better, null when a word is missing. Word starts and early hits count more. */
export function scoreText(text: string, query: string): number | null {
  const haystack = text.toLowerCase()
  let score = 0
  for (const word of query.toLowerCase().split(/\s+/).filter(Boolean)) {
    const at = haystack.indexOf(word)
    if (at < 0) return null
    const startsWord = at === 0 || /[\s:./-]/.test(haystack[at - 1] ?? '')
    score += (startsWord ? 20 : 5) - Math.min(at, 40) / 10
  }
  return score
}

/** A layer pattern with `*` for any run of characters, matched against the whole name. Linear in text x pattern. */
export function matchesWildcard(pattern: string, name: string): boolean {
  let patternAt = 0
  let nameAt = 0
  let star = -1
  let resume = 0
  while (nameAt < name.length) {
    if (pattern[patternAt] === '*') {
      star = patternAt
      patternAt += 1
      resume = nameAt
    } else if (pattern[patternAt] === name[nameAt]) {
      patternAt += 1
      nameAt += 1
    } else if (star >= 0) {
      patternAt = star + 1
      resume += 1
      nameAt = resume
    } else return false
  }
  while (pattern[patternAt] === '*') patternAt += 1
  return patternAt === pattern.length
}
