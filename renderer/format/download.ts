// Saving something from the window as a file of the person's own machine.

function download(fileName: string, blob: Blob): void {
  const link = document.createElement('a')
  link.href = URL.createObjectURL(blob)
  link.download = fileName
  link.click()
  // The browser has taken the address by the next turn.
  setTimeout(() => URL.revokeObjectURL(link.href), 0)
}

export function downloadText(fileName: string, mediaType: string, text: string): void {
  download(fileName, new Blob([text], { type: mediaType }))
}

/** @param base64 the content as the engine sends it */
export function downloadBase64(fileName: string, mediaType: string, base64: string): void {
  const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0))
  download(fileName, new Blob([bytes], { type: mediaType }))
}
