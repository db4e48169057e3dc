// Reads everything again that the stores hold: on request, and when the engine answers again after an interruption, in
// which changes may have gone unheard.
import { onScopeDispose } from 'vue'
import { rpc } from '../rpc/index.ts'
import { useDevices } from '../stores/devices.ts'
import { useJobs } from '../stores/jobs.ts'
import { useLibrary } from '../stores/library.ts'

export function useReadAgain(): () => Promise<void> {
  const library = useLibrary()
  const jobs = useJobs()
  const devices = useDevices()
  return async () => {
    await Promise.all([library.loadProjects(), jobs.reload(), devices.load()])
    if (!library.openId) return
    await library.open(library.openId)
    await Promise.all([library.loadEntity('run'), library.loadEntity('calibration')])
  }
}

/** For the whole window, once: reads again whenever the engine is back. */
export function useReadAgainAfterInterruption(onError: (thrown: unknown) => void): void {
  const readAgain = useReadAgain()
  let everReady = false
  let interrupted = false
  const stop = rpc.onState((state) => {
    const ready = state !== 'disconnected' && state.state === 'ready'
    // After the client has subscribed anew, so that no change falls between.
    if (ready && interrupted) queueMicrotask(() => void readAgain().catch(onError))
    // The state before the first `ready` is no interruption: nothing was read yet.
    interrupted = !ready && (interrupted || everReady)
    everReady ||= ready
  })
  onScopeDispose(stop)
}
