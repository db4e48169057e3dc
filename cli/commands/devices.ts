// `aqw devices`: real NPUs, simulated SoCs, the host CPU; what can be used and why the rest cannot.
import type { Command } from 'commander'
import type { DeviceDescription, DeviceProblem } from '../../contract/device.ts'
import { formatBytes } from '../../engine/common/units.ts'
import type { Host } from '../runtime/host.ts'
import { action, withCommonOptions } from '../runtime/program.ts'
import { textTable } from '../runtime/table.ts'

const EXAMPLES = `
Every device in the list is tried with a real tiny run first.
Examples:
  aqw devices
  aqw devices --json`

function kindText(device: DeviceDescription): string {
  if (device.kind === 'npu') return 'real NPU'
  return device.kind === 'simulated' ? 'simulated' : 'host CPU'
}

async function listAll(host: Host): Promise<void> {
  const { listDevices } = await import('../../engine/device/index.ts')
  const { probeModel } = await import('../../engine/pipeline/probe-model.ts')
  await using model = await probeModel(host.ctx)
  const devices = await listDevices({ ...host.ctx, probeModelPath: model.path })
  if (host.json) {
    host.printJson({ devices })
    return
  }
  const rows = devices.map((device) => [
    device.id,
    kindText(device),
    device.name,
    device.cores === null ? '' : String(device.cores),
    device.memoryBytes === null ? '' : formatBytes(device.memoryBytes),
    device.usable ? 'usable' : 'not usable',
  ])
  const columns = [
    { title: 'device' },
    { title: 'kind' },
    { title: 'name' },
    { title: 'cores', align: 'right' as const },
    { title: 'memory', align: 'right' as const },
    { title: 'state' },
  ]
  for (const line of textTable(columns, rows)) host.print(line)
  for (const [problem, names] of problemsOf(devices)) {
    host.print()
    host.print(`${names}: ${problem.message}`)
    host.print(`  ${problem.hint}`)
  }
}

/** Each problem once, with the devices that have it: simulated devices share theirs. */
function problemsOf(devices: readonly DeviceDescription[]): [DeviceProblem, string][] {
  const groups = new Map<string, { problem: DeviceProblem; ids: string[] }>()
  for (const { id, problem } of devices) {
    if (!problem) continue
    const group = groups.get(problem.message) ?? { problem, ids: [] }
    group.ids.push(id)
    groups.set(problem.message, group)
  }
  return [...groups.values()].map(({ problem, ids }) => [
    problem,
    ids.length > 2 ? `${ids[0] ?? ''} and ${ids.length - 1} more` : ids.join(', '),
  ])
}

export function register(command: Command): void {
  withCommonOptions(command, true).addHelpText('after', EXAMPLES)
  action(command, listAll)
}
