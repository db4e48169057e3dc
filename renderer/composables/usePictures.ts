// Generated pictures of runs, read when they are needed and kept for a while: blinking must not wait for the engine.
import { rpc } from '../rpc/index.ts'

/** Pictures held; the least recently used ones go first. */
const KEPT = 600

const pictures = new Map<string, Promise<string>>()

/** A picture as a data URL; runs are immutable, so an answer stays right. A failure is not kept. */
export function pictureOf(runId: string, side: string, sample: string): Promise<string> {
  const key = JSON.stringify([runId, side, sample])
  const known = pictures.get(key)
  if (known) {
    pictures.delete(key)
    pictures.set(key, known)
    return known
  }
  const asked = rpc.invoke('runs.picture', { id: runId, side, sample }).then(
    ({ dataUrl }) => dataUrl,
    (thrown: unknown) => {
      pictures.delete(key)
      throw thrown
    },
  )
  pictures.set(key, asked)
  for (const oldest of [...pictures.keys()].slice(0, -KEPT)) pictures.delete(oldest)
  return asked
}

/** A decoded picture, ready to be drawn. */
export async function decodedPicture(runId: string, side: string, sample: string): Promise<HTMLImageElement> {
  const image = new Image()
  image.src = await pictureOf(runId, side, sample)
  await image.decode()
  return image
}
