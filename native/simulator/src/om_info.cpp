// Tensor descriptors of an .om: from MODEL_INOUT_INFO, or, in older files, from the operators of ModelDef.
#include <algorithm>
#include <cstdlib>

#include "acl/acl.h"
#include "errors.h"
#include "om_file.h"

namespace ascendsim {
namespace {

constexpr size_t kMaxDims = ACL_MAX_DIM_CNT;

bool damaged(OmError &error, const std::string &text) {
  error = {kGeModelDataSizeInvalid, "E10001", "Invalid om file: " + text + "."};
  return false;
}

// ---- MODEL_INOUT_INFO ----

bool readDims(Cursor &in, uint32_t bytes, std::vector<int64_t> &dims, size_t limit) {
  if (bytes % 8 != 0 || bytes / 8 > limit) return false;
  for (uint32_t i = 0; i < bytes / 8; ++i) dims.push_back(in.i64());
  return in.ok();
}

bool readTensors(Bytes value, std::vector<TensorInfo> &tensors) {
  Cursor in(value);
  const uint32_t count = in.u32();
  for (uint32_t index = 0; index < count && in.ok(); ++index) {
    TensorInfo tensor;
    tensor.size = in.u64();
    tensor.format = in.i32();
    tensor.dataType = in.i32();
    const uint32_t nameLength = in.u32();
    const uint32_t dimsLength = in.u32();
    const uint32_t dimsV2Length = in.u32();
    const uint32_t rangeLength = in.u32();
    tensor.name = in.take(nameLength).text();
    if (!in.ok() || !readDims(in, dimsLength, tensor.dims, kMaxDims) ||
        !readDims(in, dimsV2Length, tensor.dimsV2, kMaxDims) ||
        !readDims(in, rangeLength, tensor.ranges, 2 * kMaxDims)) {
      return false;
    }
    if (tensor.dimsV2.empty()) tensor.dimsV2 = tensor.dims;
    tensors.push_back(std::move(tensor));
  }
  return in.ok();
}

/** Rows of {count, length of each, bytes of each}. */
bool readRows(Bytes value, std::vector<Bytes> &rows) {
  Cursor in(value);
  const uint32_t count = in.u32();
  std::vector<uint32_t> lengths;
  for (uint32_t i = 0; i < count && in.ok(); ++i) lengths.push_back(in.u32());
  for (const uint32_t length : lengths) rows.push_back(in.take(length));
  return in.ok();
}

bool readGears(Bytes value, GearKind kind, OmInfo &info) {
  info.gearKind = kind;
  if (kind == GearKind::Batch) {
    Cursor in(value);
    const uint32_t count = in.u32();
    for (uint32_t i = 0; i < count && in.ok(); ++i) info.gears.push_back({in.i64()});
    return in.ok();
  }
  std::vector<Bytes> rows;
  if (!readRows(value, rows)) return false;
  for (const Bytes &row : rows) {
    Cursor in(row);
    std::vector<int64_t> gear;
    if (!readDims(in, static_cast<uint32_t>(row.size), gear, kMaxDims)) return false;
    if (kind == GearKind::Image && gear.size() != 2) return false;
    info.gears.push_back(std::move(gear));
  }
  return true;
}

/** Text rows `gear,output,dim,dim...`. */
bool readOutputShapes(Bytes value, std::vector<std::vector<int64_t>> &shapes) {
  std::vector<Bytes> rows;
  if (!readRows(value, rows)) return false;
  for (const Bytes &row : rows) {
    const std::string text = row.text();
    std::vector<int64_t> numbers;
    const char *at = text.c_str();
    while (*at != '\0') {
      char *end = nullptr;
      const long long number = strtoll(at, &end, 10);
      if (end == at || numbers.size() > kMaxDims + 2) return false;
      numbers.push_back(number);
      at = *end == ',' || *end == ':' ? end + 1 : end;
      if (at == end && *end != '\0') return false;
    }
    if (numbers.size() < 2) return false;
    shapes.push_back(std::move(numbers));
  }
  return true;
}

bool placeOutputShapes(const std::vector<std::vector<int64_t>> &shapes, OmInfo &info) {
  if (shapes.empty()) return true;
  info.gearOutputs.assign(info.gears.size(), std::vector<std::vector<int64_t>>(info.outputs.size()));
  for (const auto &row : shapes) {
    if (row[0] < 0 || static_cast<uint64_t>(row[0]) >= info.gears.size() || row[1] < 0 ||
        static_cast<uint64_t>(row[1]) >= info.outputs.size()) {
      return false;
    }
    info.gearOutputs[static_cast<size_t>(row[0])][static_cast<size_t>(row[1])].assign(row.begin() + 2, row.end());
  }
  return true;
}

bool readInOut(Bytes part, OmInfo &info) {
  std::vector<std::vector<int64_t>> shapes;
  Cursor in(part);
  while (in.left() > 0) {
    const int32_t type = in.i32();
    const uint32_t length = in.u32();
    const Bytes value = in.take(length);
    if (!in.ok()) return false;
    bool good = true;
    switch (type) {
      case 0: good = readTensors(value, info.inputs); break;
      case 1: good = readTensors(value, info.outputs); break;
      case 2: good = readGears(value, GearKind::Batch, info); break;
      case 3: good = readGears(value, GearKind::Image, info); break;
      case 4: good = readGears(value, GearKind::Dims, info); break;
      case 5: good = readOutputShapes(value, shapes); break;
      default: break;  // shape order and entries of newer releases
    }
    if (!good) return false;
  }
  for (const auto &gear : info.gears) {
    for (const int64_t value : gear) {
      if (value <= 0 || value > 1'000'000'000) return false;
    }
  }
  return info.gears.empty() || placeOutputShapes(shapes, info);
}

// ---- ModelDef (ge.proto) ----

struct Attribute {
  Bytes text;
  uint64_t number = 0;
  std::vector<Bytes> texts;
};

/** One entry of an attribute map: key 1, AttrDef 2 {list 1 {s 2}, s 2, i 3}. */
bool readAttribute(Bytes entry, std::string &key, Attribute &attribute) {
  Fields fields(entry);
  Field field;
  Bytes definition;
  while (fields.next(field)) {
    if (field.number == 1) key = field.bytes.text();
    if (field.number == 2) definition = field.bytes;
  }
  Fields values(definition);
  while (values.next(field)) {
    if (field.number == 2 && field.type == 2) attribute.text = field.bytes;
    if (field.number == 3 && field.type == 0) attribute.number = field.value;
    if (field.number != 1 || field.type != 2) continue;
    Fields list(field.bytes);
    Field item;
    while (list.next(item)) {
      if (item.number == 2 && item.type == 2) attribute.texts.push_back(item.bytes);
    }
  }
  return fields.ok() && values.ok();
}

/** ge.proto DataType -> aclDataType. */
int aclType(uint64_t protoType) {
  static const int types[] = {ACL_DT_UNDEFINED, ACL_FLOAT, ACL_FLOAT16, ACL_INT8,   ACL_UINT8,  ACL_INT16, ACL_UINT16,
                              ACL_INT32,        ACL_INT64, ACL_UINT32,  ACL_UINT64, ACL_BOOL,   ACL_DOUBLE, ACL_STRING};
  if (protoType < sizeof types / sizeof types[0]) return types[protoType];
  if (protoType == 27) return ACL_BF16;
  if (protoType == 28) return ACL_INT4;
  if (protoType == 29) return ACL_UINT1;
  return ACL_DT_UNDEFINED;
}

int aclFormatOf(const std::string &layout) {
  if (layout == "NCHW") return ACL_FORMAT_NCHW;
  if (layout == "NHWC") return ACL_FORMAT_NHWC;
  if (layout == "NCDHW") return ACL_FORMAT_NCDHW;
  if (layout == "NDHWC") return ACL_FORMAT_NDHWC;
  if (layout == "NC1HWC0") return ACL_FORMAT_NC1HWC0;
  return ACL_FORMAT_ND;
}

/** TensorDescriptor: dtype 2, shape 3 {dim 1, packed or not}, layout 4, size 10. */
bool readDescriptor(Bytes message, TensorInfo &tensor) {
  Fields fields(message);
  Field field;
  while (fields.next(field)) {
    if (field.number == 2 && field.type == 0) tensor.dataType = aclType(field.value);
    if (field.number == 4 && field.type == 2) tensor.format = aclFormatOf(field.bytes.text());
    if (field.number == 10 && field.type == 0) tensor.size = field.value;
    if (field.number != 3 || field.type != 2) continue;
    Fields shape(field.bytes);
    Field dim;
    while (shape.next(dim)) {
      if (dim.number != 1) continue;
      if (dim.type == 0) {
        tensor.dims.push_back(static_cast<int64_t>(dim.value));
      } else if (dim.type == 2) {
        // A packed list is a run of varints: read it as a message would be, one key-less value after the other.
        size_t at = 0;
        while (at < dim.bytes.size) {
          uint64_t value = 0;
          int shift = 0;
          while (at < dim.bytes.size && shift < 64) {
            const uint8_t byte = dim.bytes.data[at++];
            value |= static_cast<uint64_t>(byte & 0x7F) << shift;
            shift += 7;
            if ((byte & 0x80) == 0) break;
          }
          tensor.dims.push_back(static_cast<int64_t>(value));
          if (tensor.dims.size() > kMaxDims) return false;
        }
      }
      if (tensor.dims.size() > kMaxDims) return false;
    }
    if (!shape.ok()) return false;
  }
  tensor.dimsV2 = tensor.dims;
  uint64_t exact = 0;
  if (tensorBytes(tensor.dataType, tensor.dims, exact)) tensor.size = exact;
  return fields.ok();
}

/** Collects Data and NetOutput operators of a graph: OpDef name 1, type 2, attr 10, input_desc 33, output_desc 34. */
bool readGraph(Bytes graph, const std::vector<Bytes> &outputNames, OmInfo &info) {
  struct Input {
    uint64_t index;
    TensorInfo tensor;
  };
  std::vector<Input> inputs;
  Fields fields(graph);
  Field field;
  while (fields.next(field)) {
    if (field.number != 6 || field.type != 2) continue;
    std::string name;
    std::string type;
    uint64_t index = inputs.size();
    std::vector<Bytes> descriptors;
    Fields op(field.bytes);
    Field part;
    while (op.next(part)) {
      if (part.number == 1) name = part.bytes.text();
      if (part.number == 2) type = part.bytes.text();
      if (part.number == 33) descriptors.push_back(part.bytes);
      if (part.number == 10) {
        std::string key;
        Attribute attribute;
        if (readAttribute(part.bytes, key, attribute) && key == "index") index = attribute.number;
      }
    }
    if (!op.ok()) return false;
    if (type == "Data" && !descriptors.empty()) {
      TensorInfo tensor;
      if (!readDescriptor(descriptors[0], tensor)) return false;
      tensor.name = name;
      inputs.push_back({index, std::move(tensor)});
    } else if (type == "NetOutput") {
      for (size_t i = 0; i < descriptors.size(); ++i) {
        TensorInfo tensor;
        if (!readDescriptor(descriptors[i], tensor)) return false;
        tensor.name = i < outputNames.size() ? outputNames[i].text() : "output_" + std::to_string(i);
        info.outputs.push_back(std::move(tensor));
      }
    }
  }
  std::stable_sort(inputs.begin(), inputs.end(), [](const Input &a, const Input &b) { return a.index < b.index; });
  for (Input &input : inputs) info.inputs.push_back(std::move(input.tensor));
  return fields.ok();
}

/** ModelDef: name 1, graph 7, attr 11. With `withGraph` the tensors are read from the first graph. */
bool readModelDef(Bytes message, bool withGraph, OmInfo &info) {
  Bytes graph;
  std::vector<Bytes> outputNames;
  Fields fields(message);
  Field field;
  while (fields.next(field)) {
    if (field.type != 2) continue;
    if (field.number == 1) info.modelName = field.bytes.text();
    if (field.number == 7 && graph.data == nullptr) graph = field.bytes;
    if (field.number != 11) continue;
    std::string key;
    Attribute attribute;
    if (!readAttribute(field.bytes, key, attribute)) return false;
    if (key == "soc_version") info.socVersion = attribute.text.text();
    if (key == "atc_version") info.atcVersion = attribute.text.text();
    if (key == "memory_size") info.workSize = attribute.number;
    if (key == "weight_size") info.weightSize = attribute.number;
    if (key == "attr_model_out_nodes_name") outputNames = attribute.texts;
  }
  if (!fields.ok()) return false;
  return !withGraph || graph.data == nullptr || readGraph(graph, outputNames, info);
}

bool readModelPart(OmSource &source, const OmLayout &layout, bool withGraph, OmInfo &info, OmError &error) {
  if (layout.encrypted) return damaged(error, "it is encrypted");
  const OmLayout::Part *const part = layout.find(kModelDefPart);
  if (part == nullptr || part->size == 0) return damaged(error, "it has no model definition");
  const Bytes message = source.read(part->offset, part->size);
  if (message.size != part->size || !readModelDef(message, withGraph, info)) {
    return damaged(error, "the model definition is damaged");
  }
  // Both are kept as signed 64-bit numbers by the Graph Engine.
  if (info.workSize > INT64_MAX || info.weightSize > INT64_MAX) {
    return damaged(error, "memory_size or weight_size is negative");
  }
  return true;
}

}  // namespace

bool readSizes(OmSource &source, const OmLayout &layout, OmInfo &info, OmError &error) {
  return readModelPart(source, layout, false, info, error);
}

bool readInfo(OmSource &source, const OmLayout &layout, OmInfo &info, OmError &error) {
  const OmLayout::Part *const inOut = layout.find(kInOutPart);
  const bool described = inOut != nullptr && inOut->size > 0;
  if (!readModelPart(source, layout, !described, info, error)) return false;
  if (described) {
    const Bytes bytes = source.read(inOut->offset, inOut->size);
    if (bytes.size != inOut->size || !readInOut(bytes, info)) {
      return damaged(error, "the description of its inputs and outputs is damaged");
    }
  }
  for (size_t index = 0; index < info.inputs.size(); ++index) {
    if (info.inputs[index].name == ACL_DYNAMIC_TENSOR_NAME) info.gearInput = static_cast<int>(index);
  }
  return true;
}

}  // namespace ascendsim
