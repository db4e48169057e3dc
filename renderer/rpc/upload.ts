// Sends dropped files to the workspace in pieces, for a browser that may not know their paths.
import { UPLOAD_CHUNK_BYTES, UPLOAD_MAX_BYTES } from '../../contract/rpc/environment.ts'
import { AppError } from '../../contract/errors/index.ts'
import { rpc } from './index.ts'

export interface DroppedFile {
  /** Relative, with forward slashes; folder members carry the folder's name. */
  name: string
  file: File
}

/** Where the upload ended up: files that stood alone, and folders. */
export interface UploadedPaths {
  files: string[]
  folders: string[]
}

async function toBase64(blob: Blob): Promise<string> {
  const bytes = new Uint8Array(await blob.arrayBuffer())
  let text = ''
  // fromCharCode takes its bytes as arguments; 32 Ki of them stay below every engine's limit.
  for (let at = 0; at < bytes.length; at += 32_768)
    text += String.fromCharCode(...bytes.subarray(at, at + 32_768))
  return btoa(text)
}

/** Uploads files one after another; the progress is 0..1 over all bytes. */
export async function uploadFiles(
  files: readonly DroppedFile[],
  onProgress: (fraction: number, name: string) => void,
  signal: AbortSignal,
): Promise<UploadedPaths> {
  const uploadId = crypto.randomUUID()
  const total = files.reduce((sum, entry) => sum + entry.file.size, 0) || 1
  const uploaded: UploadedPaths = { files: [], folders: [] }
  let sent = 0
  for (const { name, file } of files) {
    if (file.size > UPLOAD_MAX_BYTES) {
      throw new AppError('E_UPLOAD', { name, reason: `${file.size} > ${UPLOAD_MAX_BYTES} bytes` })
    }
    let offset = 0
    do {
      const piece = file.slice(offset, offset + UPLOAD_CHUNK_BYTES)
      const input = { uploadId, name, totalBytes: file.size, offset, data: await toBase64(piece) }
      const answer = await rpc.invoke('files.upload', input, { signal })
      offset += piece.size
      sent += piece.size
      onProgress(sent / total, name)
      if (!answer.complete) continue
      const folder = name.includes('/') ? `${answer.folder}/${name.split('/')[0]}` : null
      if (folder && !uploaded.folders.includes(folder)) uploaded.folders.push(folder)
      if (!folder && answer.path) uploaded.files.push(answer.path)
    } while (offset < file.size)
  }
  return uploaded
}

interface EntryLike {
  isFile: boolean
  isDirectory: boolean
  name: string
}

/** Files of a drop, folders opened, hidden files left out; bounded against a drop of a whole disk. */
export async function readDrop(transfer: DataTransfer, limit = 10_000): Promise<DroppedFile[]> {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry()).filter((entry) => entry !== null)
  const files: DroppedFile[] = []
  async function walk(entry: FileSystemEntry & EntryLike, prefix: string, depth: number): Promise<void> {
    if (files.length >= limit || depth > 8 || entry.name.startsWith('.')) return
    const name = prefix + entry.name
    if (entry.isFile) {
      const file = await new Promise<File>((resolve, reject) =>
        (entry as FileSystemFileEntry).file(resolve, reject),
      )
      files.push({ name, file })
      return
    }
    const reader = (entry as FileSystemDirectoryEntry).createReader()
    for (;;) {
      // readEntries answers in portions and with an empty one at the end.
      const portion = await new Promise<FileSystemEntry[]>((resolve, reject) =>
        reader.readEntries(resolve, reject),
      )
      if (portion.length === 0) return
      for (const child of portion) await walk(child, `${name}/`, depth + 1)
    }
  }
  for (const entry of entries) await walk(entry, '', 0)
  return files
}
