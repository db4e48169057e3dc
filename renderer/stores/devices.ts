// The devices of the machine, read once and again on request; a probe updates its device in place.
import { defineStore } from 'pinia'
import { computed, ref } from 'vue'
import { toErrorShape } from '../../contract/errors/index.ts'
import type { DeviceDescription } from '../../contract/device.ts'
import type { ErrorShape } from '../../contract/result.ts'
import { rpc } from '../rpc/index.ts'

export const useDevices = defineStore('devices', () => {
  const devices = ref<DeviceDescription[]>([])
  const loaded = ref(false)
  const error = ref<ErrorShape | null>(null)
  const probing = ref(new Set<string>())

  const usable = computed(() => devices.value.filter((device) => device.usable))
  const byId = (id: string): DeviceDescription | undefined => devices.value.find((device) => device.id === id)

  /** A real NPU first, then the simulated 310P3 that the cost model was fitted on, then whatever there is. */
  function preferred(wanted: string | null): string | null {
    const wantedDevice = usable.value.find((device) => device.id === wanted)
    const real = usable.value.find((device) => device.kind === 'npu')
    const fitted = usable.value.find((device) => device.soc === 'Ascend310P3')
    return (wantedDevice ?? real ?? fitted ?? usable.value[0])?.id ?? null
  }

  async function load(): Promise<void> {
    try {
      devices.value = (await rpc.invoke('devices.list', {})).devices
      error.value = null
      loaded.value = true
    } catch (thrown) {
      error.value = toErrorShape(thrown)
    }
  }

  async function probe(id: string): Promise<void> {
    probing.value.add(id)
    try {
      const probed = await rpc.invoke('devices.probe', { id })
      devices.value = devices.value.map((device) => (device.id === id ? probed : device))
    } finally {
      probing.value.delete(id)
    }
  }

  return { devices, loaded, error, probing, usable, byId, preferred, load, probe }
})
