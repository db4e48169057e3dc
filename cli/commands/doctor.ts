// `aqw doctor`: what is installed, what is missing, and what to do about it.
import type { Command } from 'commander'
import { formatBytes } from '../../engine/common/units.ts'
import { EXIT, type Host } from '../runtime/host.ts'
import { action, withCommonOptions } from '../runtime/program.ts'
import { textTable } from '../runtime/table.ts'
import type { Check } from '../installation.ts'

const EXAMPLES = `
Exit code 1 when no device at all can be used.
Examples:
  aqw doctor
  aqw doctor --json`

async function deviceChecks(host: Host): Promise<Check[]> {
  const { listDevices } = await import('../../engine/device/index.ts')
  const { probeModel } = await import('../../engine/pipeline/probe-model.ts')
  await using model = await probeModel(host.ctx)
  const devices = await listDevices({ ...host.ctx, probeModelPath: model.path })
  const kinds = [
    { name: 'real NPU', kind: 'npu' },
    { name: 'simulated NPU', kind: 'simulated' },
    { name: 'host CPU', kind: 'cpu' },
  ] as const
  return kinds.map(({ name, kind }) => {
    const ofKind = devices.filter((device) => device.kind === kind)
    const usable = ofKind.filter((device) => device.usable)
    const problem = ofKind.find((device) => device.problem)?.problem
    if (usable.length === 0) {
      const hint = problem === undefined ? '' : `${problem.message.replace(/[.。]$/, '')}. ${problem.hint}`
      return { name, state: 'missing', value: 'none usable', hint }
    }
    const [first] = usable
    const memory = kind === 'cpu' && first?.memoryBytes ? `, ${formatBytes(first.memoryBytes)}` : ''
    const steps = first?.probe?.steps.join(', ') ?? ''
    const count = usable.length > 1 ? `${usable.length} usable` : `${first?.name ?? ''}${memory}`
    return { name, state: 'ok', value: steps === '' ? count : `${count}; tried: ${steps}`, hint: '' }
  })
}

async function diagnose(host: Host): Promise<void> {
  const { cannChecks, productChecks } = await import('../installation.ts')
  const checks = [...productChecks(), ...cannChecks(), ...(await deviceChecks(host))]
  const anyDevice = checks.slice(-3).some((check) => check.state === 'ok')
  if (!anyDevice || checks.some((check) => check.state === 'broken')) process.exitCode = EXIT.failed
  if (host.json) {
    host.printJson({ ok: process.exitCode !== EXIT.failed, checks })
    return
  }
  const mark = { ok: 'ok', missing: '-', broken: 'BROKEN' }
  const rows = checks.map((check) => [mark[check.state], check.name, check.value])
  for (const line of textTable([{ title: '' }, { title: 'what' }, { title: 'found' }], rows)) host.print(line)
  const hints = checks.filter((check) => check.hint !== '')
  if (hints.length > 0) host.print()
  for (const check of hints) host.print(`${check.name}: ${check.hint}`)
}

export function register(command: Command): void {
  withCommonOptions(command, true).addHelpText('after', EXAMPLES)
  action(command, diagnose)
}
