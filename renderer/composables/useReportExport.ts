// Exporting a report of runs: written by the engine to a chosen path in the desktop app, downloaded in a browser.
import { ref, type Ref } from 'vue'
import { useI18n } from 'vue-i18n'
import type { ReportFormat } from '../../contract/rpc/index.ts'
import { downloadBase64 } from '../format/download.ts'
import { rpc, shell } from '../rpc/index.ts'
import { useNotices } from '../stores/notices.ts'
import { useSession } from '../stores/session.ts'

export const reportFormats: readonly ReportFormat[] = ['html', 'pdf', 'md', 'csv', 'json']

export function useReportExport(): {
  exporting: Ref<boolean>
  exportReport: (runIds: string[], format: ReportFormat) => Promise<void>
} {
  const { t } = useI18n()
  const session = useSession()
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
  async function printInDesktop(runIds: string[]): Promise<void> {
    const page = await rpc.invoke('reports.export', { runIds, format: 'html', locale: session.locale })
    const suggestedName = page.fileName.replace(/\.html$/, '.pdf')
    announce((await shell?.printPdf({ htmlBase64: page.base64 ?? '', suggestedName })) ?? null)
  }

  async function exportReport(runIds: string[], format: ReportFormat): Promise<void> {
    exporting.value = true
    try {
      if (shell && format === 'pdf') return await printInDesktop(runIds)
      let path: string | null = null
      if (shell) {
        path = await shell.pickPath({
          kind: 'save',
          extensions: [format],
          suggestedName: `comparison.${format}`,
        })
        if (!path) return
      }
      const report = await rpc.invoke('reports.export', {
        runIds,
        format,
        locale: session.locale,
        ...(path && { path }),
      })
      if (report.base64) downloadBase64(report.fileName, report.mediaType, report.base64)
      announce(report.path)
    } catch (thrown) {
      notices.fail(thrown)
    } finally {
      exporting.value = false
    }
  }
  return { exporting, exportReport }
}
