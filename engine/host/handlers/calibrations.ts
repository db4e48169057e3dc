// Handlers of calibrations.*.
import { Calibrations } from '../calibrations.ts'
import type { Services } from '../engine.ts'
import type { Handlers } from '../router.ts'

type Names =
  | 'calibrations.list'
  | 'calibrations.get'
  | 'calibrations.tensors'
  | 'calibrations.tensor'
  | 'calibrations.export'
  | 'calibrations.remove'

export function calibrationHandlers({ workspace }: Services): Pick<Handlers, Names> {
  const calibrations = new Calibrations(workspace)
  return {
    'calibrations.list': ({ projectId }) => ({ calibrations: calibrations.list(projectId) }),
    'calibrations.get': ({ jobId }) => calibrations.get(jobId),
    'calibrations.tensors': (query) => calibrations.tensors(query),
    'calibrations.tensor': ({ id, tensor, layer }) => calibrations.tensor(id, tensor, layer),
    'calibrations.export': (input, { signal }) => calibrations.export(input, signal),
    'calibrations.remove': ({ id }) => {
      calibrations.remove(id)
      return { id }
    },
  }
}
