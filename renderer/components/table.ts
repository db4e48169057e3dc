// Columns and sorting of the data table. Pure: the component only draws.

export type RowKey = string | number
export type SortValue = string | number | null | undefined

export interface Column<Row> {
  key: string
  title: string
  /** Shown small beside the title; cells then carry bare figures. */
  unit?: string
  /** Longer explanation shown on hover. */
  hint?: string
  /** A CSS grid track, e.g. `96px` or `minmax(160px, 1fr)`. */
  width?: string
  align?: 'start' | 'end' | 'center'
  mono?: boolean
  /** The value to sort by; a column without one cannot be sorted. */
  value?: (row: Row) => SortValue
  /** Plain text of a cell; a slot named after the key draws more. */
  text?: (row: Row) => string
  /** Numbers are first sorted from large to small. */
  descendingFirst?: boolean
}

export interface Sort {
  key: string
  descending: boolean
}

/** The sort after a click on a column: first direction, other direction, none. */
export function nextSort<Row>(current: Sort | null, column: Column<Row>): Sort | null {
  const first = column.descendingFirst ?? column.align === 'end'
  if (current?.key !== column.key) return { key: column.key, descending: first }
  return current.descending === first ? { key: column.key, descending: !first } : null
}

const collator = new Intl.Collator('en', { numeric: true })

function compareValues(a: SortValue, b: SortValue): number {
  if (typeof a === 'number' && typeof b === 'number') return a - b
  return collator.compare(String(a), String(b))
}

/** Rows in the order of the sort; stable, and rows without a value stay last in both directions. */
export function sortRows<Row>(
  rows: readonly Row[],
  columns: readonly Column<Row>[],
  sort: Sort | null,
): readonly Row[] {
  const value = sort && columns.find((column) => column.key === sort.key)?.value
  if (!sort || !value) return rows
  const isMissing = (item: SortValue): boolean =>
    item === null || item === undefined || (typeof item === 'number' && Number.isNaN(item))
  const sign = sort.descending ? -1 : 1
  return rows
    .map((row) => ({ row, key: value(row) }))
    .sort((a, b) => {
      const missingA = isMissing(a.key)
      const missingB = isMissing(b.key)
      if (missingA || missingB) return Number(missingA) - Number(missingB)
      return sign * compareValues(a.key, b.key)
    })
    .map((entry) => entry.row)
}

/** The marked keys with those of all rows between two places, whichever comes first. */
export function withRange<Row>(
  marked: ReadonlySet<RowKey>,
  rows: readonly Row[],
  rowKey: (row: Row) => RowKey,
  from: number,
  to: number,
): Set<RowKey> {
  const [first, last] = from < to ? [from, to] : [to, from]
  return new Set([...marked, ...rows.slice(first, last + 1).map(rowKey)])
}
