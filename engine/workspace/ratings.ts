// Votes on generated results: who preferred which of two sides, without knowing which was which.
import type { RatingRow } from '../../contract/rpc/quality.ts'
import type { Connection } from './database.ts'
import { newId, now } from './rows.ts'

export interface RatingPair {
  runId: string
  first: string
  second: string
}

interface Row {
  id: string
  sample: string
  first: string
  second: string
  choice: RatingRow['choice']
  rater: string
  created_at: string
}

const COLUMNS = 'id, sample, first, second, choice, rater, created_at'

function toRating(row: Row): RatingRow {
  const { id, sample, first, second, choice, rater, created_at: createdAt } = row
  return { id, sample, first, second, choice, rater, createdAt }
}

export class Ratings {
  readonly #db: Connection

  constructor(db: Connection) {
    this.#db = db
  }

  /** A second vote of a rater on the same sample (a key pressed twice) takes the place of the first. */
  add(
    { runId, first, second }: RatingPair,
    vote: { sample: string; choice: RatingRow['choice']; rater: string; firstWasLeft: boolean },
  ): RatingRow {
    const row: Row = {
      id: newId(),
      sample: vote.sample,
      first,
      second,
      choice: vote.choice,
      rater: vote.rater,
      created_at: now(),
    }
    this.#db
      .prepare(
        'DELETE FROM ratings WHERE run_id = ? AND first = ? AND second = ? AND rater = ? AND sample = ?',
      )
      .run(runId, first, second, row.rater, row.sample)
    this.#db
      .prepare(
        `INSERT INTO ratings (id, run_id, sample, first, second, choice, rater, first_was_left, created_at)
         VALUES (@id, @runId, @sample, @first, @second, @choice, @rater, @firstWasLeft, @created_at)`,
      )
      .run({ ...row, runId, firstWasLeft: Number(vote.firstWasLeft) })
    return toRating(row)
  }

  /** Samples that the rater has judged for a pair. */
  judged({ runId, first, second }: RatingPair, rater: string): Set<string> {
    const rows = this.#db
      .prepare<[string, string, string, string], { sample: string }>(
        'SELECT sample FROM ratings WHERE run_id = ? AND first = ? AND second = ? AND rater = ?',
      )
      .all(runId, first, second, rater)
    return new Set(rows.map(({ sample }) => sample))
  }

  /** Takes the rater's last vote on a pair back. */
  undo({ runId, first, second }: RatingPair, rater: string): boolean {
    const { changes } = this.#db
      .prepare(
        `DELETE FROM ratings WHERE rowid = (SELECT rowid FROM ratings
         WHERE run_id = ? AND first = ? AND second = ? AND rater = ? ORDER BY rowid DESC LIMIT 1)`,
      )
      .run(runId, first, second, rater)
    return changes > 0
  }

  /** Votes by choice. */
  counts({ runId, first, second }: RatingPair): Record<RatingRow['choice'], number> {
    const rows = this.#db
      .prepare<[string, string, string], { choice: RatingRow['choice']; count: number }>(
        `SELECT choice, count(*) AS count FROM ratings
         WHERE run_id = ? AND first = ? AND second = ? GROUP BY choice`,
      )
      .all(runId, first, second)
    const counts = { first: 0, second: 0, tie: 0, skip: 0 }
    for (const { choice, count } of rows) counts[choice] = count
    return counts
  }

  /** All votes of a run, oldest first. */
  list(runId: string): RatingRow[] {
    return this.#db
      .prepare<[string], Row>(`SELECT ${COLUMNS} FROM ratings WHERE run_id = ? ORDER BY rowid`)
      .all(runId)
      .map(toRating)
  }
}
