// Names of sparse initializers, which the model carries verbatim.
import { AppError } from '../../contract/errors/index.ts'
import type { Graph } from './model.ts'
import { MemorySource } from './source.ts'
import { WireReader } from './wire.ts'

/** GraphProto.sparse_initializer, SparseTensorProto.values, TensorProto.name in onnx.proto. */
const SPARSE_INITIALIZER = 15
const VALUES = 1
const NAME = 8

/** The names that sparse initializers of a graph define. */
export function sparseInitializerNames(graph: Graph): string[] {
  if (!graph.unknown) return []
  const reader = new WireReader(new MemorySource(graph.unknown, `unknown fields of graph "${graph.name}"`))
  const names: string[] = []
  try {
    collect(reader, [SPARSE_INITIALIZER, VALUES, NAME], names)
  } catch (cause) {
    // Damaged content of a field that is only carried along names nothing.
    if (!(cause instanceof AppError)) throw cause
  }
  return names
}

/** Follows a path of field numbers; the last one is the text to collect. */
function collect(reader: WireReader, path: readonly number[], names: string[]): void {
  while (reader.next()) {
    if (reader.field !== path[0] || reader.wire !== 2) reader.skip()
    else if (path.length === 1) names.push(reader.text())
    else {
      const outer = reader.enter()
      collect(reader, path.slice(1), names)
      reader.leave(outer)
    }
  }
}
