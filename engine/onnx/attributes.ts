// Reading and making node attributes.
import { AppError } from '../../contract/errors/index.ts'
import type { Attribute, Graph, Node, Tensor } from './model.ts'
import { decodeText, encodeText } from './text.ts'

/** Values from which an attribute type follows: a whole number makes an int, any other a float. */
export type AttributeValue =
  | number
  | bigint
  | string
  | number[]
  | bigint[]
  | string[]
  | Tensor
  | Graph
  /** Floats whatever their value. */
  | { float: number }
  | { floats: number[] }

/** The attribute of that name, or undefined. */
export function findAttribute(node: Node, name: string): Attribute | undefined {
  return node.attributes.find((attribute) => attribute.name === name)
}

function wrongType(node: Node, name: string, expected: string, actual?: string): AppError {
  const reason =
    actual === undefined ? `is missing (expected ${expected})` : `is of type ${actual}, expected ${expected}`
  return new AppError('E_ONNX_ATTRIBUTE', {
    node: nodeLabel(node),
    opType: node.opType,
    attribute: name,
    reason,
  })
}

/** What a node is called in messages: its name, or its first output when it has none. */
export function nodeLabel(node: Node): string {
  return node.name || node.outputs.find((output) => output !== '') || '(unnamed)'
}

/** The attribute when it is of that type; undefined when it is absent and `optional`. Else E_ONNX_ATTRIBUTE. */
function checked<Type extends Attribute['type']>(
  node: Node,
  name: string,
  type: Type,
  optional: boolean,
): Extract<Attribute, { type: Type }> | undefined {
  const attribute = findAttribute(node, name)
  if (!attribute && optional) return undefined
  if (attribute?.type !== type) throw wrongType(node, name, type, attribute?.type)
  return attribute as Extract<Attribute, { type: Type }>
}

/** An int attribute as a number. @throws E_ONNX_ATTRIBUTE when of another type, or absent without a default */
export function intAttribute(node: Node, name: string, fallback?: number): number {
  return Number(checked(node, name, 'int', fallback !== undefined)?.value ?? fallback)
}

/** An ints attribute as numbers. @throws E_ONNX_ATTRIBUTE as {@link intAttribute} */
export function intsAttribute(node: Node, name: string, fallback?: number[]): number[] {
  const values: (bigint | number)[] = checked(node, name, 'ints', fallback !== undefined)?.value ?? fallback!
  return values.map(Number)
}

/** A float attribute. @throws E_ONNX_ATTRIBUTE as {@link intAttribute} */
export function floatAttribute(node: Node, name: string, fallback?: number): number {
  return checked(node, name, 'float', fallback !== undefined)?.value ?? fallback!
}

/** A floats attribute. @throws E_ONNX_ATTRIBUTE as {@link intAttribute} */
export function floatsAttribute(node: Node, name: string, fallback?: number[]): number[] {
  return checked(node, name, 'floats', fallback !== undefined)?.value ?? fallback!
}

/** A string attribute as text. @throws E_ONNX_ATTRIBUTE as {@link intAttribute} */
export function stringAttribute(node: Node, name: string, fallback?: string): string {
  const attribute = checked(node, name, 'string', fallback !== undefined)
  return attribute ? decodeText(attribute.value) : fallback!
}

function makeListAttribute(name: string, values: number[] | bigint[] | string[]): Attribute {
  const first = values[0]
  if (typeof first === 'string') {
    return { name, type: 'strings', value: (values as string[]).map(encodeText) }
  }
  if (typeof first === 'bigint') return { name, type: 'ints', value: [...(values as bigint[])] }
  const numbers = values as number[]
  if (numbers.every(Number.isInteger)) return { name, type: 'ints', value: numbers.map(BigInt) }
  return { name, type: 'floats', value: [...numbers] }
}

/**
 * Makes an attribute; the type follows from the value. A whole number becomes an int and an array of whole numbers
 * ints: for floats that may be whole, give `{ float: x }` or `{ floats: [...] }`.
 */
export function makeAttribute(name: string, value: AttributeValue): Attribute {
  if (typeof value === 'string') return { name, type: 'string', value: encodeText(value) }
  if (typeof value === 'bigint') return { name, type: 'int', value }
  if (typeof value === 'number') {
    return Number.isInteger(value)
      ? { name, type: 'int', value: BigInt(value) }
      : { name, type: 'float', value }
  }
  if (Array.isArray(value)) return makeListAttribute(name, value)
  if ('float' in value) return { name, type: 'float', value: value.float }
  if ('floats' in value) return { name, type: 'floats', value: [...value.floats] }
  return 'dataType' in value ? { name, type: 'tensor', value } : { name, type: 'graph', value }
}

/** Sets or replaces an attribute. */
export function setAttribute(node: Node, attribute: Attribute): void {
  const index = node.attributes.findIndex((existing) => existing.name === attribute.name)
  if (index < 0) node.attributes.push(attribute)
  else node.attributes[index] = attribute
}

/** Removes the attribute of that name, if there is one. */
export function removeAttribute(node: Node, name: string): void {
  node.attributes = node.attributes.filter((attribute) => attribute.name !== name)
}
