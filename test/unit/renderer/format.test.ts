// Numbers, shortcuts, search and errors as the window shows them.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { blockNames } from '../../../renderer/format/blocks.ts'
import { localizeError } from '../../../renderer/format/errors.ts'
import { matchesWildcard, matchesWords, scoreText } from '../../../renderer/format/search.ts'
import { matchesShortcut, shortcutKeys } from '../../../renderer/format/shortcuts.ts'
import {
  decimalsFor,
  formatAgo,
  formatBytes,
  formatChange,
  formatCount,
  formatDims,
  formatDuration,
  formatNumber,
  formatSigned,
} from '../../../renderer/format/units.ts'
import { headline } from '../../../renderer/format/verdict.ts'

describe('numbers', () => {
  it('keep about four significant digits with one number of decimals per column', () => {
    expect(decimalsFor([35.8, 22.1])).toBe(2)
    expect(decimalsFor([2.296, 2.606])).toBe(3)
    expect(decimalsFor([1234.5, null])).toBe(0)
    expect(decimalsFor([0.0123])).toBe(3)
    expect(decimalsFor([])).toBe(0)
  })

  it('never show a negative zero or NaN', () => {
    expect(formatNumber(-0.0001, 2)).toBe('0.00')
    expect(formatNumber(Number.NaN, 2)).toBe('–')
    expect(formatNumber(null)).toBe('–')
    expect(formatSigned(0.0001, 2)).toBe('0.00')
  })

  it('write changes with their sign', () => {
    expect(formatChange(0.62)).toBe('-38 %')
    expect(formatChange(1.62)).toBe('+62 %')
    expect(formatChange(1.055)).toBe('+5.5 %')
  })

  it('use binary units for bytes and keep them readable', () => {
    expect(formatBytes(0)).toBe('0 B')
    expect(formatBytes(1024)).toBe('1.00 KiB')
    expect(formatBytes(8_575_567)).toBe('8.18 MiB')
    expect(formatBytes(null)).toBe('–')
  })

  it('write durations without 60 s or 60 min', () => {
    expect(formatDuration(850)).toBe('850 ms')
    expect(formatDuration(12_400)).toBe('12.4 s')
    expect(formatDuration(59_970)).toBe('1 min 00 s')
    expect(formatDuration(185_000)).toBe('3 min 05 s')
    expect(formatDuration(3_599_900)).toBe('1 h 00 min')
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 400_000_000 }),
        (ms) => !/(^|\D)60 (s|min)/.test(formatDuration(ms)),
      ),
    )
  })

  it('write shapes and counts', () => {
    expect(formatDims([1, 4, 64, 64])).toBe('1×4×64×64')
    expect(formatDims(['N', null])).toBe('N×?')
    expect(formatDims([])).toBe('scalar')
    expect(formatDims(null)).toBe('?')
    expect(formatCount(859_520_964)).toBe('859.5 M')
    expect(formatCount(1480)).toBe('1,480')
  })

  it('say how long ago in the language of the window', () => {
    const now = Date.parse('2026-01-01T12:00:00Z')
    expect(formatAgo('2026-01-01T09:00:00Z', 'en', now)).toBe('3 hours ago')
    expect(formatAgo('2026-01-01T09:00:00Z', 'zh', now)).toBe('3小时前')
    // A clock that runs ahead is not the future.
    expect(formatAgo('2026-01-01T12:00:05Z', 'en', now)).toBe('now')
  })
})

describe('headline', () => {
  const input = { baseline: 'FP16', candidate: 'INT8', baselineBytes: 100, candidateBytes: 53 }

  it('says faster, slower or neither', () => {
    const faster = headline({ ...input, latency: { ratio: 1 / 1.62, noDifference: false } })
    expect(faster.key).toBe('faster')
    expect(faster.parameters).toMatchObject({ speed: '1.62x', size: '0.53x' })
    expect(headline({ ...input, latency: { ratio: 1.13, noDifference: false } })).toMatchObject({
      key: 'slower',
      tone: 'bad',
    })
    expect(headline({ ...input, latency: { ratio: 0.98, noDifference: true } }).key).toBe('same')
    expect(headline({ ...input, latency: null }).key).toBe('unknown')
  })
})

describe('shortcuts', () => {
  const press = (
    key: string,
    held: Partial<Record<'ctrlKey' | 'metaKey' | 'shiftKey' | 'altKey', boolean>> = {},
  ) => ({
    key,
    ctrlKey: false,
    metaKey: false,
    shiftKey: false,
    altKey: false,
    ...held,
  })

  it('match Control elsewhere and Command on macOS', () => {
    const ctrl = press('P', { ctrlKey: true, shiftKey: true })
    expect(matchesShortcut('Mod+Shift+P', ctrl, false)).toBe(true)
    expect(matchesShortcut('Mod+Shift+P', ctrl, true)).toBe(false)
    expect(matchesShortcut('Mod+Shift+P', press('p', { metaKey: true, shiftKey: true }), true)).toBe(true)
    expect(matchesShortcut('Mod+Shift+P', press('p', { ctrlKey: true }), false)).toBe(false)
  })

  it('do not fire with a modifier too many', () => {
    expect(matchesShortcut('F5', press('F5', { shiftKey: true }), false)).toBe(false)
    expect(matchesShortcut('F5', press('F5', { altKey: true }), false)).toBe(false)
    expect(matchesShortcut('Alt+1', press('1', { altKey: true }), false)).toBe(true)
  })

  it('take a symbol whatever Shift does on the layout', () => {
    expect(matchesShortcut('Mod+/', press('/', { ctrlKey: true, shiftKey: true }), false)).toBe(true)
  })

  it('are written the way of the platform', () => {
    expect(shortcutKeys('Mod+Shift+P', false)).toEqual(['Ctrl', 'Shift', 'P'])
    expect(shortcutKeys('Mod+Shift+P', true)).toEqual(['⌘', '⇧', 'P'])
  })
})

describe('search', () => {
  it('finds all words in any order', () => {
    expect(matchesWords('unet.down_blocks.0.conv1 Conv', 'conv down')).toBe(true)
    expect(matchesWords('unet.down_blocks.0.conv1 Conv', 'conv up')).toBe(false)
  })

  it('ranks a word start above a hit inside a word', () => {
    expect(scoreText('Go to Models', 'mod') ?? 0).toBeGreaterThan(scoreText('Commodity', 'mod') ?? 0)
    expect(scoreText('Go to Models', 'xyz')).toBeNull()
  })

  it('matches wildcards like a regular expression would', () => {
    const word = fc.string({ unit: fc.constantFrom('a', 'b', '.', '*'), maxLength: 8 })
    const name = fc.string({ unit: fc.constantFrom('a', 'b', '.'), maxLength: 10 })
    fc.assert(
      fc.property(word, name, (pattern, text) => {
        const source = pattern.replaceAll('.', '\\.').replaceAll(/\*+/g, '.*')
        return matchesWildcard(pattern, text) === new RegExp(`^${source}$`).test(text)
      }),
    )
  })

  it('answers a hostile pattern at once', () => {
    expect(matchesWildcard('*a'.repeat(400), 'b'.repeat(4000))).toBe(false)
  })
})

describe('blocks', () => {
  it('drop what all names share and keep numbers', () => {
    expect(blockNames(['unet.up_blocks.0.conv', 'unet.mid_block.attn', 'unet.conv_in', 'unet'])).toEqual([
      'up_blocks.0',
      'mid_block',
      'conv_in',
      'unet',
    ])
    expect(blockNames(['/encoder/layer/a', '/decoder/layer/b'])).toEqual(['encoder', 'decoder'])
  })
})

describe('errors', () => {
  const details = { path: 'model.onnx', reason: 'EACCES' }

  it('are rendered in the language of the window', () => {
    const shape = { code: 'E_FILE_READ', message: 'english', hint: 'hint', details }
    expect(localizeError(shape, 'zh').message).toContain('无法读取 model.onnx')
  })

  it('keep the sender’s text when the code or a detail is not known', () => {
    const unknown = { code: 'E_FROM_THE_FUTURE', message: 'as sent', hint: 'so', details: {} }
    expect(localizeError(unknown, 'zh').message).toBe('as sent')
    const bare = { code: 'E_FILE_READ', message: 'Cannot read x: y', hint: 'so', details: {} }
    expect(localizeError(bare, 'zh').message).toBe('Cannot read x: y')
  })
})
