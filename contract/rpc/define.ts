// How a channel and a topic are declared: a schema for what goes in and one for what comes out.
import type { z } from 'zod'

export interface Channel<I extends z.ZodType = z.ZodType, O extends z.ZodType = z.ZodType> {
  input: I
  output: O
}

export interface Topic<I extends z.ZodType = z.ZodType, E extends z.ZodType = z.ZodType> {
  input: I
  event: E
}

export function channel<I extends z.ZodType, O extends z.ZodType>(input: I, output: O): Channel<I, O> {
  return { input, output }
}

export function topic<I extends z.ZodType, E extends z.ZodType>(input: I, event: E): Topic<I, E> {
  return { input, event }
}
