// What blind votes say, for the words beside the figures. Pure.
import type { RatingSummary } from '../../../contract/rpc/quality.ts'

/** Below this a unanimous vote has a two-sided p of more than 0.05: 2 * 0.5^5 = 0.0625. */
export const DECIDED_NEEDED = 6
const SIGNIFICANT = 0.05

export type RatingVerdict = 'none' | 'tooFew' | 'apart' | 'notApart'

/** Whether the votes show a preference, by the sign test over decided votes. */
export function ratingVerdict({ first, second, p }: RatingSummary): RatingVerdict {
  if (p === null) return 'none'
  if (first + second < DECIDED_NEEDED) return 'tooFew'
  return p < SIGNIFICANT ? 'apart' : 'notApart'
}

/** Vote that a key stands for; null when it is none. */
export function voteOfKey(key: string): 'left' | 'right' | 'tie' | 'skip' | 'undo' | null {
  const votes = { '1': 'left', '2': 'right', '0': 'tie', s: 'skip', z: 'undo' } as const
  return votes[key.toLowerCase() as keyof typeof votes] ?? null
}
