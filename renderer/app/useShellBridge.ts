// Keeps the desktop shell informed (title, taskbar, menu, notifications) and obeys it (menu commands, opened files).
import { watchEffect } from 'vue'
import { useI18n } from 'vue-i18n'
import { useRoute } from 'vue-router'
import { useOpenPaths } from '../composables/useOpenPaths.ts'
import { shell } from '../rpc/index.ts'
import { useJobs } from '../stores/jobs.ts'
import { useLibrary } from '../stores/library.ts'
import { useNotices } from '../stores/notices.ts'
import { useSession } from '../stores/session.ts'
import { allCommands, commandById, runCommand } from './commands.ts'

export function useShellBridge(): void {
  const { t } = useI18n()
  const route = useRoute()
  const session = useSession()
  const library = useLibrary()
  const jobs = useJobs()
  const notices = useNotices()
  const openPaths = useOpenPaths()

  watchEffect(() => {
    const project = route.params.projectId ? library.project?.name : null
    const title = project ? `${project} – ${t('shell.product')}` : t('shell.product')
    document.title = title
    shell?.report({
      title,
      progress: jobs.running?.progress.fraction ?? null,
      theme: session.settings.theme,
      locale: session.locale,
      commands: allCommands.value.map((command) => ({
        id: command.id,
        group: command.group,
        title: command.title(),
        ...(command.shortcut && { shortcut: command.shortcut }),
        enabled: !command.disabledReason?.(),
      })),
    })
  })

  jobs.onFinish((job) => {
    const text = `${job.title}: ${t(`common.jobState.${job.state}`)}`
    if (job.state === 'done') notices.success(text)
    if (session.settings.notifications) shell?.notify({ title: t('shell.product'), body: text })
  })

  shell?.onCommand((id) => {
    const command = commandById(id)
    if (command) runCommand(command, notices.fail)
  })
  shell?.onOpenPath((path) => {
    openPaths([path]).catch(notices.fail)
  })
}
