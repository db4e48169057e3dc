// Errors of report export.
import type { ErrorCatalog } from './catalog.ts'

export const reportErrors = {
  E_REPORT_NO_BROWSER: {
    en: {
      message: 'No browser to print the PDF with.',
      hint: 'Install Chromium ({names}) or set AQW_CHROMIUM to its path, or export HTML and print that.',
    },
    zh: {
      message: '没有可用于打印 PDF 的浏览器。',
      hint: '请安装 Chromium（{names}）或将 AQW_CHROMIUM 设为其路径，也可导出 HTML 后打印。',
    },
  },
  E_REPORT_PRINT: {
    en: {
      message: '{browser} could not print the report: {reason}',
      hint: 'Export HTML and print that from a browser.',
    },
    zh: { message: '{browser} 无法打印报告：{reason}', hint: '请导出 HTML 后在浏览器中打印。' },
  },
} satisfies ErrorCatalog
