// Exporting a report of runs.
import type { Ref } from 'vue'
import type { ReportFormat } from '../../contract/rpc/index.ts'
import { rpc } from '../rpc/index.ts'
import { useSession } from '../stores/session.ts'
import { useDocumentExport } from './useDocumentExport.ts'

export const reportFormats: readonly ReportFormat[] = ['html', 'pdf', 'md', 'csv', 'json']

export function useReportExport(): {
  exporting: Ref<boolean>
  exportReport: (runIds: string[], format: ReportFormat) => Promise<void>
} {
  const session = useSession()
  const { exporting, exportDocument } = useDocumentExport()

  async function exportReport(runIds: string[], format: ReportFormat): Promise<void> {
    await exportDocument(format, 'comparison', (wanted, path) =>
      rpc.invoke('reports.export', {
        runIds,
        format: wanted,
        locale: session.locale,
        ...(path && { path }),
      }),
    )
  }
  return { exporting, exportReport }
}
