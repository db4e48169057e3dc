// The channel map: every call and every subscription of the window, with zod schemas for both directions.
import type { z } from 'zod'
import { calibrationChannels } from './calibration.ts'
import { environmentChannels, environmentTopics } from './environment.ts'
import { interopChannels } from './interop.ts'
import { libraryChannels, libraryTopics } from './library.ts'
import { qualityChannels } from './quality.ts'
import { workChannels, workTopics } from './work.ts'

export const channels = {
  ...environmentChannels,
  ...libraryChannels,
  ...workChannels,
  ...calibrationChannels,
  ...interopChannels,
  ...qualityChannels,
}
export const topics = { ...environmentTopics, ...libraryTopics, ...workTopics }

export type ChannelName = keyof typeof channels
export type TopicName = keyof typeof topics

/** What a caller passes (defaults may be left out). */
export type ChannelInput<C extends ChannelName> = z.input<(typeof channels)[C]['input']>
/** What a handler receives (defaults filled in). */
export type ChannelRequest<C extends ChannelName> = z.output<(typeof channels)[C]['input']>
export type ChannelOutput<C extends ChannelName> = z.output<(typeof channels)[C]['output']>
export type TopicInput<T extends TopicName> = z.input<(typeof topics)[T]['input']>
export type TopicRequest<T extends TopicName> = z.output<(typeof topics)[T]['input']>
export type TopicEvent<T extends TopicName> = z.output<(typeof topics)[T]['event']>

export function isChannel(name: string): name is ChannelName {
  return Object.hasOwn(channels, name)
}

export function isTopic(name: string): name is TopicName {
  return Object.hasOwn(topics, name)
}

export * from './calibration.ts'
export * from './client.ts'
export * from './command-line.ts'
export * from './environment.ts'
export * from './interop.ts'
export * from './library.ts'
export * from './message.ts'
export * from './quality.ts'
export * from './work.ts'
