// A look into an ONNX payload before ONNX Runtime gets it.
#include "executor.h"

namespace ascendsim {
namespace {

constexpr int kMaxDepth = 16;

/** TensorProto: external_data 13, data_location 14 (1 = external). */
bool externalTensor(Bytes message) {
  Fields fields(message);
  Field field;
  while (fields.next(field)) {
    if (field.number == 13 || (field.number == 14 && field.type == 0 && field.value != 0)) return true;
  }
  return !fields.ok();
}

bool externalGraph(Bytes message, int depth);

/** AttributeProto: t 5, g 6, tensors 10, graphs 11, sparse_tensor 22, sparse_tensors 23. */
bool externalAttribute(Bytes message, int depth) {
  Fields fields(message);
  Field field;
  while (fields.next(field)) {
    if (field.type != 2) continue;
    if ((field.number == 5 || field.number == 10) && externalTensor(field.bytes)) return true;
    if ((field.number == 6 || field.number == 11) && externalGraph(field.bytes, depth + 1)) return true;
    if (field.number == 22 || field.number == 23) return true;
  }
  return !fields.ok();
}

/** NodeProto: attribute 5. */
bool externalNode(Bytes message, int depth) {
  Fields fields(message);
  Field field;
  while (fields.next(field)) {
    if (field.number == 5 && field.type == 2 && externalAttribute(field.bytes, depth)) return true;
  }
  return !fields.ok();
}

/** GraphProto: node 1, initializer 5, sparse_initializer 15 (never written by the compiler). */
bool externalGraph(Bytes message, int depth) {
  if (depth > kMaxDepth) return true;
  Fields fields(message);
  Field field;
  while (fields.next(field)) {
    if (field.type != 2) continue;
    if (field.number == 1 && externalNode(field.bytes, depth)) return true;
    if (field.number == 5 && externalTensor(field.bytes)) return true;
    if (field.number == 15) return true;
  }
  return !fields.ok();
}

}  // namespace

/** ModelProto: graph 7, functions 25 {node 7}. */
bool usesExternalData(Bytes onnx) {
  Fields fields(onnx);
  Field field;
  while (fields.next(field)) {
    if (field.type != 2) continue;
    if (field.number == 7 && externalGraph(field.bytes, 0)) return true;
    if (field.number == 25) return true;
  }
  return !fields.ok();
}

}  // namespace ascendsim
