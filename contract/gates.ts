// Gates: conditions on the figures of a comparison, for scripts and for people who decide whether a model ships.
//   latency.mean <= 0.7 * baseline && quality.fid_delta <= 1
// `baseline` alone is the baseline's value of the figure on the other side of the comparison. Docs: docs/gates.md.
import { z } from 'zod'

/** A figure of one side by its name; null where it is not known. */
export type FigureSource = (name: string) => number | null

const comparatorSchema = z.enum(['<=', '<', '>=', '>', '==', '!='])
export type Comparator = z.infer<typeof comparatorSchema>

/** One condition as it came out. */
export const gateCheckSchema = z.object({
  /** As written. */
  text: z.string(),
  left: z.number().nullable(),
  comparator: comparatorSchema,
  right: z.number().nullable(),
  /** `unknown`: a figure is missing, which never passes. */
  outcome: z.enum(['passed', 'failed', 'unknown']),
  /** Names of the missing figures. */
  missing: z.array(z.string()),
})
export type GateCheck = z.infer<typeof gateCheckSchema>

export const gateResultSchema = z.object({
  expression: z.string(),
  candidate: z.string(),
  outcome: z.enum(['passed', 'failed', 'unknown']),
  checks: z.array(gateCheckSchema),
})
export type GateResult = z.infer<typeof gateResultSchema>

type Value =
  | { kind: 'number'; value: number }
  | { kind: 'figure'; name: string; side: 'candidate' | 'baseline' }
  /** `baseline` alone. */
  | { kind: 'same' }
  | { kind: 'negate'; value: Value }
  | { kind: 'binary'; operator: '+' | '-' | '*' | '/'; left: Value; right: Value }

type Condition =
  | { kind: 'check'; text: string; left: Value; comparator: Comparator; right: Value }
  | { kind: 'all' | 'any'; parts: Condition[] }

export interface Gate {
  text: string
  condition: Condition
}

/** What is wrong with a gate, and where: `at` counts characters from 0. */
export class GateSyntaxError extends Error {
  readonly at: number

  constructor(message: string, at: number) {
    super(message)
    this.at = at
  }
}

export const GATE_MAXIMUM_LENGTH = 2000
const MAXIMUM_DEPTH = 50

const CONDITION_SYMBOLS: ReadonlySet<string> = new Set([...comparatorSchema.options, '&&', '||'])

interface Token {
  kind: 'number' | 'name' | 'symbol' | 'end'
  text: string
  at: number
}

const TOKEN =
  /\s*(?:(\d+(?:\.\d*)?(?:[eE][+-]?\d+)?|\.\d+)|([A-Za-z_][\w.]*)|(<=|>=|==|!=|&&|\|\||[-<>+*/()]))/y

function tokens(text: string): Token[] {
  if (text.length > GATE_MAXIMUM_LENGTH)
    throw new GateSyntaxError(`it is longer than ${GATE_MAXIMUM_LENGTH} characters`, GATE_MAXIMUM_LENGTH)
  const found: Token[] = []
  let at = 0
  while (text.slice(at).trim() !== '') {
    TOKEN.lastIndex = at
    const match = TOKEN.exec(text)
    const start = at + (/^\s*/.exec(text.slice(at))?.[0].length ?? 0)
    if (!match) throw new GateSyntaxError(`"${text[start]}" is not part of a gate`, start)
    const [whole, number, name] = match
    const kind = number !== undefined ? 'number' : name !== undefined ? 'name' : 'symbol'
    found.push({ kind, text: whole.trim(), at: start })
    at += whole.length
  }
  return [...found, { kind: 'end', text: '', at: text.length }]
}

/** Recursive descent over: any := all ("||" all)*; all := part ("&&" part)*; part := check | "(" any ")". */
class GateParser {
  readonly #text: string
  readonly #tokens: readonly Token[]
  #place = 0
  #depth = 0

  constructor(text: string) {
    this.#text = text
    this.#tokens = tokens(text)
  }

  parse(): Condition {
    const condition = this.#any()
    if (this.#now.kind !== 'end') throw this.#unexpected('"&&", "||" or the end')
    return condition
  }

  get #now(): Token {
    return this.#tokens[this.#place] as Token
  }

  #unexpected(expected: string): GateSyntaxError {
    const { text, at, kind } = this.#now
    return new GateSyntaxError(`${kind === 'end' ? 'the end' : `"${text}"`} where ${expected} should be`, at)
  }

  #take(symbol: string): boolean {
    if (this.#now.kind !== 'symbol' || this.#now.text !== symbol) return false
    this.#place++
    return true
  }

  #nested<T>(work: () => T): T {
    if (++this.#depth > MAXIMUM_DEPTH) throw new GateSyntaxError('it is nested too deeply', this.#now.at)
    const result = work()
    this.#depth--
    return result
  }

  #any(): Condition {
    const parts = [this.#all()]
    while (this.#take('||')) parts.push(this.#all())
    return parts.length === 1 ? (parts[0] as Condition) : { kind: 'any', parts }
  }

  #all(): Condition {
    const parts = [this.#part()]
    while (this.#take('&&')) parts.push(this.#part())
    return parts.length === 1 ? (parts[0] as Condition) : { kind: 'all', parts }
  }

  #part(): Condition {
    if (!this.#opensCondition()) return this.#check()
    return this.#nested(() => {
      this.#take('(')
      const inner = this.#any()
      if (!this.#take(')')) throw this.#unexpected('")"')
      return inner
    })
  }

  /** A parenthesis opens a condition if there is a comparison within it, and a sum otherwise. */
  #opensCondition(): boolean {
    if (this.#now.text !== '(') return false
    let open = 0
    for (const { text } of this.#tokens.slice(this.#place)) {
      if (text === '(') open++
      if (text === ')' && --open === 0) return false
      if (CONDITION_SYMBOLS.has(text)) return true
    }
    return false
  }

  #check(): Condition {
    const from = this.#now.at
    const left = this.#sum()
    const comparator = comparatorSchema.safeParse(this.#now.text)
    if (!comparator.success) throw this.#unexpected('a comparison such as "<="')
    this.#place++
    const right = this.#sum()
    const text = this.#text.slice(from, this.#now.at).trim()
    return { kind: 'check', text, left, comparator: comparator.data, right }
  }

  #sum(): Value {
    let left = this.#product()
    for (;;) {
      const operator = this.#take('+') ? '+' : this.#take('-') ? '-' : undefined
      if (!operator) return left
      left = { kind: 'binary', operator, left, right: this.#product() }
    }
  }

  #product(): Value {
    let left = this.#factor()
    for (;;) {
      const operator = this.#take('*') ? '*' : this.#take('/') ? '/' : undefined
      if (!operator) return left
      left = { kind: 'binary', operator, left, right: this.#factor() }
    }
  }

  #factor(): Value {
    const token = this.#now
    if (this.#take('-')) return { kind: 'negate', value: this.#nested(() => this.#factor()) }
    if (this.#take('(')) {
      const inner = this.#nested(() => this.#sum())
      if (!this.#take(')')) throw this.#unexpected('")"')
      return inner
    }
    if (token.kind === 'number') {
      this.#place++
      return { kind: 'number', value: Number(token.text) }
    }
    if (token.kind !== 'name') throw this.#unexpected('a number or a figure')
    this.#place++
    if (token.text === 'baseline') return { kind: 'same' }
    if (token.text.startsWith('baseline.'))
      return { kind: 'figure', name: token.text.slice('baseline.'.length), side: 'baseline' }
    return { kind: 'figure', name: token.text, side: 'candidate' }
  }
}

function figures(value: Value): { name: string; side: 'candidate' | 'baseline' }[] {
  switch (value.kind) {
    case 'figure':
      return [value]
    case 'negate':
      return figures(value.value)
    case 'binary':
      return [...figures(value.left), ...figures(value.right)]
    default:
      return []
  }
}

function hasSame(value: Value): boolean {
  switch (value.kind) {
    case 'same':
      return true
    case 'negate':
      return hasSame(value.value)
    case 'binary':
      return hasSame(value.left) || hasSame(value.right)
    default:
      return false
  }
}

function checksOf(condition: Condition): Extract<Condition, { kind: 'check' }>[] {
  return condition.kind === 'check' ? [condition] : condition.parts.flatMap(checksOf)
}

/** The figure that `baseline` alone means in a check: the only one of the candidate's. */
function meantFigure(check: Extract<Condition, { kind: 'check' }>): string | undefined {
  const names = [...figures(check.left), ...figures(check.right)]
    .filter(({ side }) => side === 'candidate')
    .map(({ name }) => name)
  const [first, ...others] = [...new Set(names)]
  return others.length === 0 ? first : undefined
}

/**
 * Reads a gate.
 * @param known Names of all figures; an unknown one is refused.
 * @throws GateSyntaxError
 */
export function parseGate(text: string, known?: readonly string[]): Gate {
  const condition = new GateParser(text).parse()
  for (const check of checksOf(condition)) {
    const unknown = [...figures(check.left), ...figures(check.right)].find(
      ({ name }) => known !== undefined && !known.includes(name),
    )
    if (unknown) throw new GateSyntaxError(`there is no figure "${unknown.name}"`, text.indexOf(unknown.name))
    if ((hasSame(check.left) || hasSame(check.right)) && meantFigure(check) === undefined) {
      const reason = `in "${check.text}", "baseline" alone needs exactly one figure beside it`
      throw new GateSyntaxError(reason, text.indexOf(check.text))
    }
  }
  return { text, condition }
}

interface Sides {
  candidate: FigureSource
  baseline: FigureSource
}

function evaluate(value: Value, sides: Sides, same: string | undefined, missing: string[]): number | null {
  const look = (side: keyof Sides, name: string): number | null => {
    const found = sides[side](name)
    if (found === null || !Number.isFinite(found)) {
      missing.push(side === 'baseline' ? `baseline.${name}` : name)
      return null
    }
    return found
  }
  switch (value.kind) {
    case 'number':
      return value.value
    case 'figure':
      return look(value.side, value.name)
    case 'same':
      return same === undefined ? null : look('baseline', same)
    case 'negate': {
      const inner = evaluate(value.value, sides, same, missing)
      return inner === null ? null : -inner
    }
    case 'binary': {
      const left = evaluate(value.left, sides, same, missing)
      const right = evaluate(value.right, sides, same, missing)
      return left === null || right === null ? null : calculate(value.operator, left, right)
    }
  }
}

function calculate(operator: '+' | '-' | '*' | '/', left: number, right: number): number {
  switch (operator) {
    case '+':
      return left + right
    case '-':
      return left - right
    case '*':
      return left * right
    case '/':
      return left / right
  }
}

const COMPARE: Record<Comparator, (left: number, right: number) => boolean> = {
  '<=': (left, right) => left <= right,
  '<': (left, right) => left < right,
  '>=': (left, right) => left >= right,
  '>': (left, right) => left > right,
  '==': (left, right) => left === right,
  '!=': (left, right) => left !== right,
}

function runCheck(check: Extract<Condition, { kind: 'check' }>, sides: Sides): GateCheck {
  const missing: string[] = []
  const same = meantFigure(check)
  const left = evaluate(check.left, sides, same, missing)
  const right = evaluate(check.right, sides, same, missing)
  const known = left !== null && right !== null && !Number.isNaN(left) && !Number.isNaN(right)
  const outcome = !known ? 'unknown' : COMPARE[check.comparator](left, right) ? 'passed' : 'failed'
  return {
    text: check.text,
    left,
    comparator: check.comparator,
    right,
    outcome,
    missing: [...new Set(missing)],
  }
}

type Outcome = GateCheck['outcome']

function runCondition(condition: Condition, sides: Sides, checks: GateCheck[]): Outcome {
  if (condition.kind === 'check') {
    const check = runCheck(condition, sides)
    checks.push(check)
    return check.outcome
  }
  const outcomes = condition.parts.map((part) => runCondition(part, sides, checks))
  const [decides, other] =
    condition.kind === 'all' ? (['failed', 'passed'] as const) : (['passed', 'failed'] as const)
  if (outcomes.includes(decides)) return decides
  return outcomes.includes('unknown') ? 'unknown' : other
}

/** Applies a gate to one candidate. What is unknown does not pass. */
export function runGate(gate: Gate, candidate: string, sides: Sides): GateResult {
  const checks: GateCheck[] = []
  const outcome = runCondition(gate.condition, sides, checks)
  return { expression: gate.text, candidate, outcome, checks }
}
