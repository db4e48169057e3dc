// The layer rule of docs/architecture.md: who may import whom. An import that points the wrong way is an error.
import path from 'node:path'

/** Rooms of engine/, from the ground up: a room may import itself and the rooms before it, unless narrowed below. */
const ENGINE_ROOMS = [
  'common',
  'onnx',
  'calibration',
  'preparation',
  'quantization',
  'training',
  'analysis',
  'cost',
  'compile',
  'device',
  'benchmark',
  'evaluation',
  'pipeline',
  'workspace',
  'jobs',
  'report',
  'host',
]

/** Rooms that do not know each other although one stands above the other. */
const ENGINE_FORBIDDEN = {
  cost: ['calibration', 'quantization', 'training', 'analysis'],
  compile: ['calibration', 'training', 'analysis'],
  device: ['calibration', 'quantization', 'training', 'analysis', 'cost'],
  benchmark: ['calibration', 'quantization', 'training', 'analysis', 'cost', 'compile'],
  workspace: [
    'calibration',
    'quantization',
    'training',
    'analysis',
    'cost',
    'compile',
    'device',
    'benchmark',
    'evaluation',
    'pipeline',
  ],
}

/** The one room of engine/ that may import a native binding. */
const NATIVE_ROOM = { 'native/acl': 'device', 'native/observer': 'calibration' }

/** Layer -> layers it may import. Packages are restricted separately in eslint.config.js. */
const LAYERS = {
  contract: ['contract'],
  'native/acl': ['native/acl', 'contract'],
  'native/observer': ['native/observer'],
  engine: ['engine', 'contract'],
  electron: ['electron', 'engine', 'contract'],
  cli: ['cli', 'engine', 'contract'],
  renderer: ['renderer', 'contract'],
}

function layerOf(relative) {
  const native = /^native\/(acl|observer)\//.exec(relative)
  if (native) return `native/${native[1]}`
  const top = relative.split('/')[0]
  return Object.hasOwn(LAYERS, top) ? top : null
}

function roomOf(relative) {
  const parts = relative.split('/')
  return parts[0] === 'engine' && parts.length > 2 ? parts[1] : null
}

/** Returns the reason an import is refused, or null when it is allowed. */
export function refusal(from, to) {
  const fromLayer = layerOf(from)
  const toLayer = layerOf(to)
  if (!fromLayer || !toLayer) return null
  const fromRoom = roomOf(from)
  const toRoom = roomOf(to)
  const room = NATIVE_ROOM[toLayer]
  if (fromLayer === 'engine' && room) {
    return fromRoom === room ? null : `only engine/${room} may import ${toLayer} (from ${from})`
  }
  if (!LAYERS[fromLayer].includes(toLayer)) return `${fromLayer} must not import ${toLayer}`
  if (!fromRoom || !toRoom || fromRoom === toRoom) return null
  const fromRank = ENGINE_ROOMS.indexOf(fromRoom)
  const toRank = ENGINE_ROOMS.indexOf(toRoom)
  if (fromRank < 0) return `engine/${fromRoom} is not a known room: add it to eslint/layers.js`
  if (toRank < 0) return `engine/${toRoom} is not a known room: add it to eslint/layers.js`
  if (toRank > fromRank) return `engine/${fromRoom} stands below engine/${toRoom} and must not import it`
  if (ENGINE_FORBIDDEN[fromRoom]?.includes(toRoom)) return `engine/${fromRoom} must not know engine/${toRoom}`
  return null
}

export const layersRule = {
  meta: { type: 'problem', schema: [], messages: { breach: 'Layer breach: {{reason}}' } },
  create(context) {
    const root = context.cwd
    const from = path.relative(root, context.filename).split(path.sep).join('/')
    function check(node) {
      const source = node.source?.value
      if (typeof source !== 'string') return
      if (!source.startsWith('.')) return
      const to = path
        .relative(root, path.resolve(path.dirname(context.filename), source))
        .split(path.sep)
        .join('/')
      const reason = refusal(from, to)
      if (reason) context.report({ node, messageId: 'breach', data: { reason } })
    }
    return {
      ImportDeclaration: check,
      ExportNamedDeclaration: check,
      ExportAllDeclaration: check,
      ImportExpression: check,
    }
  },
}
