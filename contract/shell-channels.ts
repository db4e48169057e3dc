// IPC channel names of the desktop shell; alone in a file so that the preload bundles no schema library.

/** IPC channel names between preload and main. Everything else is refused. */
export const shellChannels = {
  toEngine: 'aqw:to-engine',
  fromEngine: 'aqw:from-engine',
  connection: 'aqw:connection',
  connect: 'aqw:connect',
  command: 'aqw:command',
  openPath: 'aqw:open-path',
  pickPath: 'aqw:pick-path',
  revealPath: 'aqw:reveal-path',
  report: 'aqw:report',
  notify: 'aqw:notify',
  printPdf: 'aqw:print-pdf',
} as const
