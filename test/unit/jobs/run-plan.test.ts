// Stage keys follow their inputs; results are taken where the key is known; a failure stops the plan.
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Plan, Stage, StageInput } from '../../../engine/jobs/plan.ts'
import { runPlan, stageKey, type PlanHost } from '../../../engine/jobs/run-plan.ts'

let folder: string
beforeEach(() => (folder = mkdtempSync(path.join(tmpdir(), 'plan-'))))
afterEach(() => rmSync(folder, { recursive: true, force: true }))

const ran: string[] = []
beforeEach(() => void ran.splice(0))

function stage(key: string, after: string[], inputs: unknown, fail?: Error): Stage {
  return {
    key,
    version: 1,
    weight: 1,
    after,
    inputs,
    async run({ folder: own, results }) {
      ran.push(key)
      writeFileSync(path.join(own, 'scratch'), '')
      if (fail) throw fail
      const sum = after.reduce((total, name) => total + (results.get(name)?.data as number), 0)
      return { data: sum + Number(inputs), files: [] }
    },
  }
}

function host(stored: Map<string, StageInput>): PlanHost {
  return {
    lookup: async (_stage, key) => stored.get(key) ?? null,
    store: async (_stage, key, data) => {
      const result = { data, files: {} }
      stored.set(key, result)
      return result
    },
    stageStarted: () => undefined,
    progress: () => undefined,
    log: () => undefined,
  }
}

function plan(a: number, b: number, c: number, fail?: Error): Plan {
  return {
    stages: [stage('a', [], a), stage('b', ['a'], b, fail), stage('c', ['a', 'b'], c)],
    finish: (results) => ({ outcome: results.get('c')?.data, artifacts: [] }),
  }
}

const signal = (): AbortSignal => new AbortController().signal

describe('runPlan', () => {
  it('does only what a change touches', async () => {
    const stored = new Map<string, StageInput>()
    const first = await runPlan(plan(1, 2, 3), host(stored), folder, signal())
    expect(first.result.outcome).toBe(1 + (1 + 2) + 3)
    expect(ran).toEqual(['a', 'b', 'c'])
    await runPlan(plan(1, 2, 3), host(stored), folder, signal())
    expect(ran).toEqual(['a', 'b', 'c'])
    const changed = await runPlan(plan(1, 5, 3), host(stored), folder, signal())
    expect(ran).toEqual(['a', 'b', 'c', 'b', 'c'])
    expect(changed.result.outcome).toBe(1 + (1 + 5) + 3)
  })

  it('keeps the stages before a failure and leaves no scratch files', async () => {
    const stored = new Map<string, StageInput>()
    await expect(runPlan(plan(1, 2, 3, new Error('broken')), host(stored), folder, signal())).rejects.toThrow(
      'broken',
    )
    expect(stored.size).toBe(1)
    expect(readdirSync(folder)).toEqual([])
  })

  it('stops between stages when cancelled', async () => {
    const controller = new AbortController()
    const stored = new Map<string, StageInput>()
    const own = host(stored)
    const stopping = { ...own, stageStarted: () => controller.abort() }
    await expect(runPlan(plan(1, 2, 3), stopping, folder, controller.signal)).rejects.toMatchObject({
      code: 'E_CANCELLED',
    })
    expect(ran).toEqual(['a'])
    expect(stored.size).toBe(0)
  })
})

describe('stageKey', () => {
  it('does not depend on the order of keys, but on version and inputs', () => {
    const keys = new Map<string, string>()
    const base = stage('s', [], { x: 1, y: 2 })
    const key = stageKey(base, keys)
    expect(stageKey({ ...base, inputs: { y: 2, x: 1 } }, keys)).toBe(key)
    expect(stageKey({ ...base, version: 2 }, keys)).not.toBe(key)
    expect(stageKey({ ...base, inputs: { x: 1, y: 3 } }, keys)).not.toBe(key)
  })
})
