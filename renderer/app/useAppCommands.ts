// The commands that exist on every page, and the one key listener that runs commands by their shortcut.
import { onScopeDispose } from 'vue'
import { useI18n } from 'vue-i18n'
import { useRoute, useRouter } from 'vue-router'
import { matchesShortcut } from '../format/shortcuts.ts'
import { rpc, shell } from '../rpc/index.ts'
import { useJobs } from '../stores/jobs.ts'
import { useNotices } from '../stores/notices.ts'
import { useSession } from '../stores/session.ts'
import { useProjectActions } from '../composables/useProjectActions.ts'
import { useReadAgain } from '../composables/useReadAgain.ts'
import { allCommands, runCommand, useCommands, type Command } from './commands.ts'
import { overlays } from './overlays.ts'
import { isMac } from './platform.ts'
import { pageKeys, projectPages } from './router.ts'

export function useAppCommands(): void {
  const { t } = useI18n()
  const route = useRoute()
  const router = useRouter()
  const session = useSession()
  const jobs = useJobs()
  const readAgain = useReadAgain()
  const notices = useNotices()
  const actions = useProjectActions()

  const projectId = (): string | null => (route.params.projectId ? String(route.params.projectId) : null)
  const needsProject = (): string | null => (projectId() ? null : t('shell.reasons.noProject'))
  const needsEngine = (): string | null => (session.connected ? null : t('shell.reasons.disconnected'))
  const go = (name: string): void => void router.push({ name })

  const pages = projectPages.map((page): Command => ({
    id: `go.${page}`,
    group: 'go',
    title: () => t('shell.commands.goPage', { page: t(`shell.nav.${page}`) }),
    shortcut: `Alt+${pageKeys[page]}`,
    disabledReason: needsProject,
    run: () => void router.push({ name: page, params: { projectId: projectId() } }),
  }))

  useCommands([
    {
      id: 'help.palette',
      group: 'help',
      title: () => t('shell.commands.palette'),
      shortcut: 'Mod+Shift+P',
      run: () => void (overlays.palette = !overlays.palette),
    },
    ...pages,
    {
      id: 'go.home',
      group: 'go',
      title: () => t('shell.commands.home'),
      shortcut: 'Alt+0',
      run: () => go('home'),
    },
    {
      id: 'go.devices',
      group: 'go',
      title: () => t('shell.commands.devices'),
      shortcut: 'Alt+8',
      run: () => go('devices'),
    },
    {
      id: 'go.all-jobs',
      group: 'go',
      title: () => t('shell.commands.jobs'),
      shortcut: 'Alt+9',
      run: () => go('all-jobs'),
    },
    {
      id: 'go.settings',
      group: 'go',
      title: () => t('shell.commands.settings'),
      shortcut: 'Mod+,',
      run: () => go('settings'),
    },
    {
      id: 'project.new',
      group: 'project',
      title: () => t('shell.commands.newProject'),
      shortcut: 'Alt+N',
      disabledReason: needsEngine,
      run: () => void (overlays.newProject = true),
    },
    {
      id: 'project.sample',
      group: 'project',
      title: () => t('shell.commands.sample'),
      disabledReason: needsEngine,
      run: actions.openSample,
    },
    {
      id: 'run.compare',
      group: 'run',
      title: () => t('shell.commands.compare'),
      // In a browser F5 belongs to the browser.
      shortcut: shell ? 'F5' : 'Mod+Enter',
      disabledReason: needsProject,
      run: () =>
        void router.push({ name: 'compare', params: { projectId: projectId() }, query: { start: '1' } }),
    },
    {
      id: 'run.calibrate',
      group: 'run',
      title: () => t('shell.commands.calibrate'),
      disabledReason: needsProject,
      run: () =>
        void router.push({ name: 'calibration', params: { projectId: projectId() }, query: { start: '1' } }),
    },
    {
      id: 'go.vote',
      group: 'go',
      title: () => t('vote.command'),
      disabledReason: needsProject,
      run: () => void router.push({ name: 'vote', params: { projectId: projectId() } }),
    },
    {
      id: 'run.cancel',
      group: 'run',
      title: () => t('shell.commands.cancelJob'),
      ...(shell && { shortcut: 'Shift+F5' }),
      disabledReason: () => (jobs.running ? null : t('shell.reasons.noJob')),
      run: async () => {
        if (jobs.running) await rpc.invoke('jobs.cancel', { id: jobs.running.id })
      },
    },
    {
      id: 'view.reload',
      group: 'view',
      title: () => t('shell.commands.reload'),
      disabledReason: needsEngine,
      run: readAgain,
    },
    {
      id: 'view.theme.light',
      group: 'view',
      title: () => t('shell.commands.themeLight'),
      run: () => session.change({ theme: 'light' }),
    },
    {
      id: 'view.theme.dark',
      group: 'view',
      title: () => t('shell.commands.themeDark'),
      run: () => session.change({ theme: 'dark' }),
    },
    {
      id: 'view.theme.system',
      group: 'view',
      title: () => t('shell.commands.themeSystem'),
      run: () => session.change({ theme: 'system' }),
    },
    {
      id: 'view.locale.en',
      group: 'view',
      title: () => t('shell.commands.langEn'),
      run: () => session.change({ locale: 'en' }),
    },
    {
      id: 'view.locale.zh',
      group: 'view',
      title: () => t('shell.commands.langZh'),
      run: () => session.change({ locale: 'zh' }),
    },
    {
      id: 'help.shortcuts',
      group: 'help',
      title: () => t('shell.commands.shortcuts'),
      shortcut: 'Mod+/',
      run: () => void (overlays.shortcuts = true),
    },
    {
      id: 'help.tour',
      group: 'help',
      title: () => t('shell.commands.tour'),
      run: () => session.change({ tourDone: false }),
    },
  ])

  function onKey(event: KeyboardEvent): void {
    const command = allCommands.value.find(
      (item) => item.shortcut && matchesShortcut(item.shortcut, event, isMac),
    )
    if (!command) return
    event.preventDefault()
    const reason = command.disabledReason?.()
    if (reason) notices.info(reason)
    else runCommand(command, notices.fail)
  }
  window.addEventListener('keydown', onKey)
  onScopeDispose(() => window.removeEventListener('keydown', onKey))
}
