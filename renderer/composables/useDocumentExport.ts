// Writing a document: by the engine to a chosen path in the desktop app, downloaded in a browser.
import { ref, type Ref } from 'vue'
import { useI18n } from 'vue-i18n'
import { downloadBase64 } from '../format/download.ts'
import { shell } from '../rpc/index.ts'
import { useNotices } from '../stores/notices.ts'

export interface WrittenDocument {
  /** Where it was written; null when its content came back. */
  path: string | null
  fileName: string
  mediaType: string
  base64: string | null
}

/** Asks the engine for the document; without a path its content comes back. */
export type WriteDocument<Format extends string> = (
  format: Format | 'html',
  path: string | null,
) => Promise<WrittenDocument>

export function useDocumentExport(): {
  exporting: Ref<boolean>
  /** @param stem File name without its extension, suggested in the desktop app. */
  exportDocument: <Format extends string>(
    format: Format,
    stem: string,
    write: WriteDocument<Format>,
  ) => Promise<void>
} {
  const { t } = useI18n()
  const notices = useNotices()
  const exporting = ref(false)

  function announce(written: string | null): void {
    if (!written) return
    const bridge = shell
    notices.success(
      t('compare.exported', { path: written }),
      bridge && { label: t('models.reveal'), run: () => bridge.revealPath(written) },
    )
  }

  /** Electron prints the page itself; no browser needs to be installed. */
  async function printInDesktop(write: WriteDocument<never>): Promise<void> {
    const page = await write('html', null)
    const suggestedName = page.fileName.replace(/\.html$/, '.pdf')
    announce((await shell?.printPdf({ htmlBase64: page.base64 ?? '', suggestedName })) ?? null)
  }

  async function exportDocument<Format extends string>(
    format: Format,
    stem: string,
    write: WriteDocument<Format>,
  ): Promise<void> {
    exporting.value = true
    try {
      if (shell && format === 'pdf') return await printInDesktop(write)
      let path: string | null = null
      if (shell) {
        path = await shell.pickPath({
          kind: 'save',
          extensions: [format],
          suggestedName: `${stem}.${format}`,
        })
        if (!path) return
      }
      const written = await write(format, path)
      if (written.base64) downloadBase64(written.fileName, written.mediaType, written.base64)
      announce(written.path)
    } catch (thrown) {
      notices.fail(thrown)
    } finally {
      exporting.value = false
    }
  }
  return { exporting, exportDocument }
}
