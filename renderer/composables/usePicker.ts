// Asking for a path: the system's own picker in the desktop app, ours (on the engine's machine) in a browser.
import { ref, type Ref } from 'vue'
import type { FileKind } from '../../contract/rpc/index.ts'
import { shell } from '../rpc/index.ts'
import { useNotices } from '../stores/notices.ts'

export interface PickRequest {
  title: string
  kinds: FileKind[]
  onPick: (path: string) => void | Promise<void>
}

const EXTENSIONS: Partial<Record<FileKind, string[]>> = {
  onnx: ['onnx'],
  om: ['om'],
  bin: ['bin'],
  json: ['json', 'cfg'],
  project: ['aqwproj'],
}

/** `request` drives a <FilePicker> in the template; it stays null in the desktop app. */
export function usePicker(): {
  request: Ref<PickRequest | null>
  pick: (wanted: PickRequest) => Promise<void>
} {
  const request = ref<PickRequest | null>(null)
  const notices = useNotices()

  async function pick(wanted: PickRequest): Promise<void> {
    if (!shell) {
      request.value = wanted
      return
    }
    const folder = wanted.kinds.every((kind) => kind === 'folder')
    const path = await shell.pickPath({
      kind: folder ? 'folder' : 'file',
      ...(!folder && { extensions: wanted.kinds.flatMap((kind) => EXTENSIONS[kind] ?? []) }),
    })
    if (path) await wanted.onPick(path)
  }

  const guarded = async (wanted: PickRequest): Promise<void> => {
    const onPick = async (path: string): Promise<void> => {
      try {
        await wanted.onPick(path)
      } catch (thrown) {
        notices.fail(thrown)
      }
    }
    await pick({ ...wanted, onPick })
  }
  return { request, pick: guarded }
}
