// Errors of the workspace area: folder, database, archive, jobs, runs, and the RPC that reaches them.
import type { ErrorCatalog } from './catalog.ts'

export const workspaceErrors = {
  E_WORKSPACE_LOCKED: {
    en: {
      message: 'The workspace {path} is already open in process {pid} (since {since}).',
      hint: 'Use that window, close it, or give another folder with --workspace.',
    },
    zh: {
      message: '工作区 {path} 已被进程 {pid} 打开（自 {since} 起）。',
      hint: '请使用该窗口或将其关闭，或用 --workspace 指定其他目录。',
    },
  },
  E_WORKSPACE_NEWER: {
    en: {
      message: 'The workspace {path} has data version {version}; this program knows versions up to {known}.',
      hint: 'Update the program, or restore the backup from the folder {backups}.',
    },
    zh: {
      message: '工作区 {path} 的数据版本为 {version}，本程序仅支持到 {known}。',
      hint: '请升级程序，或从 {backups} 目录恢复备份。',
    },
  },
  E_WORKSPACE_DATABASE: {
    en: {
      message: 'The workspace database {path} cannot be used: {reason}',
      hint: 'Check free disk space and permissions; backups are in {backups}.',
    },
    zh: {
      message: '工作区数据库 {path} 无法使用：{reason}',
      hint: '请检查磁盘空间和权限；备份位于 {backups}。',
    },
  },
  E_WORKSPACE_MIGRATION: {
    en: {
      message: 'Migration {version} of {path} failed: {reason}',
      hint: 'Nothing was changed. The copy made before it is {backup}.',
    },
    zh: {
      message: '{path} 的迁移 {version} 失败：{reason}',
      hint: '数据未被更改，迁移前的副本为 {backup}。',
    },
  },
  E_WORKSPACE_NOT_FOUND: {
    en: { message: 'No {entity} with id {id}.', hint: 'It may have been deleted. Reload the list.' },
    zh: { message: '没有 id 为 {id} 的{entity}。', hint: '可能已被删除，请刷新列表。' },
  },
  E_WORKSPACE_IN_USE: {
    en: {
      message: '{entity} "{name}" is used by a job that has not ended.',
      hint: 'Wait for job {jobId} or cancel it first.',
    },
    zh: { message: '{entity} "{name}" 正被未结束的任务使用。', hint: '请等待任务 {jobId} 结束或先取消它。' },
  },
  E_WORKSPACE_FILE_CHANGED: {
    en: {
      message: '{path} is no longer the file that was added: SHA-256 {actual}, expected {expected}.',
      hint: 'Add it again as a new {entity}.',
    },
    zh: {
      message: '{path} 已不是当初添加的文件：SHA-256 为 {actual}，应为 {expected}。',
      hint: '请将其作为新的{entity}重新添加。',
    },
  },
  E_WORKSPACE_FILE_KIND: {
    en: { message: '{path} is not {expected}.', hint: 'Choose {expected}.' },
    zh: { message: '{path} 不是 {expected}。', hint: '请选择 {expected}。' },
  },
  E_ARCHIVE_INVALID: {
    en: {
      message: '{path} is not a usable project archive: {reason}',
      hint: 'Export the project again on the machine it came from.',
    },
    zh: { message: '{path} 不是可用的项目归档：{reason}', hint: '请在来源机器上重新导出该项目。' },
  },
  E_ARCHIVE_UNSAFE: {
    en: {
      message: '{path} contains an entry that would be written outside the workspace: {entry}',
      hint: 'Do not use this archive; it was made to overwrite files or is damaged.',
    },
    zh: {
      message: '{path} 中的条目会写到工作区之外：{entry}',
      hint: '请勿使用该归档，它可能是恶意的或已损坏。',
    },
  },
  E_ARCHIVE_TOO_LARGE: {
    en: {
      message: '{path}: {what} is {actual}, at most {limit} is accepted.',
      hint: 'Export fewer models or runs.',
    },
    zh: { message: '{path}：{what} 为 {actual}，上限为 {limit}。', hint: '请减少导出的模型或运行记录。' },
  },
  E_UPLOAD: {
    en: {
      message: 'Upload of {name} refused: {reason}',
      hint: 'Drop the file again, or choose it by its path.',
    },
    zh: { message: '拒绝上传 {name}：{reason}', hint: '请重新拖放该文件，或按路径选择。' },
  },
  E_JOB_STATE: {
    en: { message: 'Job {id} is {state}; it cannot be {action}.', hint: 'Reload the job list.' },
    zh: { message: '任务 {id} 的状态为 {state}，无法执行 {action}。', hint: '请刷新任务列表。' },
  },
  E_JOB_WORKER_DIED: {
    en: {
      message: 'The process of job {id} ended unexpectedly in stage {stage} ({reason}).',
      hint: 'Finished stages are kept: press Resume. The log {log} may say more.',
    },
    zh: {
      message: '任务 {id} 的进程在阶段 {stage} 意外结束（{reason}）。',
      hint: '已完成的阶段会保留，可点击“继续”。详情见日志 {log}。',
    },
  },
  E_JOB_INTERRUPTED: {
    en: {
      message: 'The engine ended while job {id} was in stage {stage}.',
      hint: 'Finished stages are kept: press Resume.',
    },
    zh: { message: '引擎在任务 {id} 的阶段 {stage} 期间结束。', hint: '已完成的阶段会保留，可点击“继续”。' },
  },
  E_RPC_UNKNOWN: {
    en: {
      message: 'Unknown {what} "{name}".',
      hint: 'Did you mean {suggestions}? Window and engine may differ in version.',
    },
    zh: { message: '未知的 {what} "{name}"。', hint: '是否想用 {suggestions}？窗口与引擎的版本可能不一致。' },
  },
  E_RPC_INPUT: {
    en: { message: '{channel}: {field}: {reason}', hint: 'Correct that field and try again.' },
    zh: { message: '{channel}：{field}：{reason}', hint: '请更正该字段后重试。' },
  },
  E_RPC_MESSAGE: {
    en: {
      message: 'Message refused: {reason}',
      hint: 'Window and engine may differ in version; reload the window.',
    },
    zh: { message: '消息被拒绝：{reason}', hint: '窗口与引擎的版本可能不一致，请刷新窗口。' },
  },
  E_RPC_DISCONNECTED: {
    en: {
      message: 'The connection to the engine was lost before it answered.',
      hint: 'It reconnects by itself; look whether the action took effect, then try again.',
    },
    zh: { message: '在引擎应答之前连接已断开。', hint: '系统会自动重连；请确认操作是否已生效后再重试。' },
  },
  E_ENGINE_DOWN: {
    en: {
      message: 'The engine process ended {count} times in a row: {reason}',
      hint: 'The log is {log}. Start the program again.',
    },
    zh: { message: '引擎进程连续 {count} 次退出：{reason}', hint: '日志位于 {log}，请重新启动程序。' },
  },
  E_SERVE_NOT_BUILT: {
    en: { message: 'The window is not built: {path} is missing.', hint: 'Run: npm run build' },
    zh: { message: '窗口尚未构建：缺少 {path}。', hint: '请运行：npm run build' },
  },
  E_SERVE_AUTH_REQUIRED: {
    en: {
      message: 'Serving on {host} lets other machines in and needs a secret.',
      hint: 'Add --auth TOKEN (at least {length} characters), or leave out --host to serve this machine only.',
    },
    zh: {
      message: '在 {host} 上提供服务会允许其他机器访问，需要口令。',
      hint: '请加上 --auth TOKEN（至少 {length} 个字符），或去掉 --host 仅供本机使用。',
    },
  },
  E_SERVE_PORT: {
    en: {
      message: 'Cannot listen on {host}:{port}: {reason}',
      hint: 'Give another port with --port, or 0 for a free one.',
    },
    zh: { message: '无法监听 {host}:{port}：{reason}', hint: '请用 --port 指定其他端口，或用 0 自动选择。' },
  },
} satisfies ErrorCatalog
