// Writes small ONNX models and .om files byte by byte, independently of the library's readers.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

namespace build {

// ---- protobuf ----

class Message {
 public:
  Message &varint(int field, uint64_t value) {
    key(field, 0);
    raw(value);
    return *this;
  }
  Message &text(int field, const std::string &value) {
    key(field, 2);
    raw(value.size());
    out_ += value;
    return *this;
  }
  Message &message(int field, const Message &value) { return text(field, value.out_); }
  Message &number(int field, float value) {
    key(field, 5);
    out_.append(reinterpret_cast<const char *>(&value), 4);
    return *this;
  }
  const std::string &bytes() const { return out_; }

 private:
  void key(int field, int type) { raw(static_cast<uint64_t>(field) << 3 | static_cast<uint64_t>(type)); }
  void raw(uint64_t value) {
    while (value >= 0x80) {
      out_ += static_cast<char>(value | 0x80);
      value >>= 7;
    }
    out_ += static_cast<char>(value);
  }
  std::string out_;
};

// ---- ONNX ----

struct Attribute {
  std::string name;
  bool isFloat;
  float f;
  int64_t i;
};
inline Attribute floatAttribute(const std::string &name, float value) { return {name, true, value, 0}; }
inline Attribute intAttribute(const std::string &name, int64_t value) { return {name, false, 0, value}; }

/** Builds a ModelProto with the default opset 17 and domain `ascendsim` 1. Dimension -1 is symbolic. */
class Onnx {
 public:
  Onnx &input(const std::string &name, int type, const std::vector<int64_t> &dims) {
    graph_.message(11, value(name, type, dims));
    return *this;
  }
  Onnx &output(const std::string &name, int type, const std::vector<int64_t> &dims) {
    graph_.message(12, value(name, type, dims));
    return *this;
  }
  Onnx &initializer(const std::string &name, int type, const std::vector<int64_t> &dims, const std::string &raw) {
    Message tensor;
    for (const int64_t dim : dims) tensor.varint(1, static_cast<uint64_t>(dim));
    tensor.varint(2, static_cast<uint64_t>(type)).text(8, name).text(9, raw);
    graph_.message(5, tensor);
    return *this;
  }
  Onnx &externalInitializer(const std::string &name, int type, const std::vector<int64_t> &dims,
                            const std::string &file) {
    Message tensor;
    for (const int64_t dim : dims) tensor.varint(1, static_cast<uint64_t>(dim));
    tensor.varint(2, static_cast<uint64_t>(type)).text(8, name);
    tensor.message(13, Message().text(1, "location").text(2, file)).varint(14, 1);
    graph_.message(5, tensor);
    return *this;
  }
  Onnx &node(const std::string &type, const std::vector<std::string> &inputs, const std::string &output,
             const std::vector<Attribute> &attributes = {}, const std::string &domain = "") {
    Message node;
    for (const auto &name : inputs) node.text(1, name);
    node.text(2, output).text(3, type + "_" + output).text(4, type);
    for (const Attribute &a : attributes) {
      Message attribute;
      attribute.text(1, a.name);
      if (a.isFloat) {
        attribute.number(2, a.f).varint(20, 1);
      } else {
        attribute.varint(3, static_cast<uint64_t>(a.i)).varint(20, 2);
      }
      node.message(5, attribute);
    }
    if (!domain.empty()) node.text(7, domain);
    graph_.message(1, node);
    return *this;
  }
  std::string bytes() const {
    Message graph = graph_;
    graph.text(2, "graph");
    return Message()
        .varint(1, 8)
        .message(7, graph)
        .message(8, Message().text(1, "").varint(2, 17))
        .message(8, Message().text(1, "ascendsim").varint(2, 1))
        .bytes();
  }

 private:
  static Message value(const std::string &name, int type, const std::vector<int64_t> &dims) {
    Message shape;
    for (const int64_t dim : dims) {
      shape.message(1, dim < 0 ? Message().text(2, "n") : Message().varint(1, static_cast<uint64_t>(dim)));
    }
    const Message tensor = Message().varint(1, static_cast<uint64_t>(type)).message(2, shape);
    return Message().text(1, name).message(2, Message().message(1, tensor));
  }
  Message graph_;
};

// ---- .om ----

inline void put32(std::string &out, uint32_t value) { out.append(reinterpret_cast<const char *>(&value), 4); }
inline void put64(std::string &out, uint64_t value) { out.append(reinterpret_cast<const char *>(&value), 8); }

struct OmTensor {
  std::string name;
  int dataType;  // aclDataType
  uint64_t size;
  std::vector<int64_t> dims;
  int format = 2;
};

struct OmKernel {
  std::string name;
  std::string type;
  std::vector<uint64_t> ns;
};

/** An .om in the making; every member may be changed before bytes(). */
struct Om {
  std::string soc = "Ascend310P3";
  std::string atcVersion = "ascendsim-test";
  uint64_t workSize = 4096;
  uint64_t weightSize = 1024;
  std::vector<OmTensor> inputs;
  std::vector<OmTensor> outputs;
  std::string payload;
  int gearType = 0;  // 2 batch, 3 image, 4 dims, 0 none
  std::vector<std::vector<int64_t>> gears;
  std::vector<std::string> outputShapes;
  std::vector<uint64_t> totalNs = {1'000'000};
  std::vector<OmKernel> kernels = {{"conv", "Conv2D", {1'000'000}}};
  uint32_t itemMagic = 0x4B535141;
  bool wide = true;
  bool withInOut = true;

  static std::string tensors(const std::vector<OmTensor> &list) {
    std::string out;
    put32(out, static_cast<uint32_t>(list.size()));
    for (const OmTensor &t : list) {
      put64(out, t.size);
      put32(out, static_cast<uint32_t>(t.format));
      put32(out, static_cast<uint32_t>(t.dataType));
      put32(out, static_cast<uint32_t>(t.name.size()));
      put32(out, static_cast<uint32_t>(t.dims.size() * 8));
      put32(out, static_cast<uint32_t>(t.dims.size() * 8));
      put32(out, 0);
      out += t.name;
      for (int copy = 0; copy < 2; ++copy) {
        for (const int64_t dim : t.dims) put64(out, static_cast<uint64_t>(dim));
      }
    }
    return out;
  }

  static void entry(std::string &out, uint32_t type, const std::string &value) {
    put32(out, type);
    put32(out, static_cast<uint32_t>(value.size()));
    out += value;
  }

  static std::string rows(const std::vector<std::string> &list) {
    std::string out;
    put32(out, static_cast<uint32_t>(list.size()));
    for (const auto &row : list) put32(out, static_cast<uint32_t>(row.size()));
    for (const auto &row : list) out += row;
    return out;
  }

  std::string inOut() const {
    std::string out;
    entry(out, 0, tensors(inputs));
    entry(out, 1, tensors(outputs));
    if (gearType == 2) {
      std::string value;
      put32(value, static_cast<uint32_t>(gears.size()));
      for (const auto &gear : gears) put64(value, static_cast<uint64_t>(gear[0]));
      entry(out, 2, value);
    } else if (gearType != 0) {
      std::vector<std::string> list;
      for (const auto &gear : gears) {
        std::string row;
        for (const int64_t number : gear) put64(row, static_cast<uint64_t>(number));
        list.push_back(row);
      }
      entry(out, static_cast<uint32_t>(gearType), rows(list));
    }
    if (!outputShapes.empty()) entry(out, 5, rows(outputShapes));
    return out;
  }

  static Message attribute(const std::string &key, const Message &value) {
    return Message().text(1, key).message(2, value);
  }

  static Message descriptor(const OmTensor &tensor) {
    static const int protoTypes[] = {1, 2, 3, 7, 4};  // FLOAT, FLOAT16, INT8, INT32, UINT8
    Message shape;
    for (const int64_t dim : tensor.dims) shape.varint(1, static_cast<uint64_t>(dim));
    return Message()
        .varint(2, static_cast<uint64_t>(tensor.dataType < 5 ? protoTypes[tensor.dataType] : 8))
        .message(3, shape)
        .text(4, "ND")
        .varint(10, tensor.size);
  }

  std::string modelDef() const {
    Message graph;
    int index = 0;
    for (const OmTensor &input : inputs) {
      graph.message(6, Message()
                           .text(1, input.name)
                           .text(2, "Data")
                           .message(10, attribute("index", Message().varint(3, static_cast<uint64_t>(index++))))
                           .message(33, descriptor(input)));
    }
    Message netOutput = Message().text(1, "Node_Output").text(2, "NetOutput");
    Message names;
    for (const OmTensor &output : outputs) {
      netOutput.message(33, descriptor(output));
      names.text(2, output.name);
    }
    graph.message(6, netOutput);
    return Message()
        .text(1, "test_model")
        .message(7, graph)
        .message(11, attribute("soc_version", Message().text(2, soc)))
        .message(11, attribute("atc_version", Message().text(2, atcVersion)))
        .message(11, attribute("memory_size", Message().varint(3, workSize)))
        .message(11, attribute("weight_size", Message().varint(3, weightSize)))
        .message(11, attribute("attr_model_out_nodes_name", Message().message(1, names)))
        .bytes();
  }

  std::string costTable() const {
    std::string out = "AQCT";
    put32(out, 1);
    put32(out, static_cast<uint32_t>(totalNs.size()));
    put32(out, static_cast<uint32_t>(kernels.size()));
    for (const uint64_t total : totalNs) put64(out, total);
    for (const OmKernel &kernel : kernels) {
      put32(out, static_cast<uint32_t>(kernel.name.size()));
      put32(out, static_cast<uint32_t>(kernel.type.size()));
      out += kernel.name + kernel.type;
      for (const uint64_t ns : kernel.ns) put64(out, ns);
    }
    return out;
  }

  std::string kernelStore() const {
    std::string out;
    const std::vector<std::pair<std::string, std::string>> items = {{"aqw.manifest", "{}"}, {"aqw.cost", costTable()}};
    for (const auto &[name, bin] : items) {
      put32(out, itemMagic);
      put32(out, static_cast<uint32_t>(name.size()));
      put32(out, static_cast<uint32_t>(bin.size()));
      out += name + bin;
    }
    return out;
  }

  std::string bytes() const {
    std::vector<std::pair<uint32_t, std::string>> parts;
    if (withInOut) parts.emplace_back(8, inOut());
    parts.emplace_back(0, modelDef());
    parts.emplace_back(1, payload);
    parts.emplace_back(3, kernelStore());
    parts.emplace_back(2, std::string("\x08\x01", 2));
    std::string table;
    put32(table, static_cast<uint32_t>(parts.size()));
    if (wide) put32(table, 0);
    std::string body;
    for (const auto &[type, part] : parts) {
      put32(table, type);
      if (wide) {
        put32(table, 0);
        put64(table, body.size());
        put64(table, part.size());
      } else {
        put32(table, static_cast<uint32_t>(body.size()));
        put32(table, static_cast<uint32_t>(part.size()));
      }
      body += part;
    }
    const std::string content = table + body;
    std::string header(256, '\0');
    const auto set32 = [&](size_t at, uint32_t value) { memcpy(&header[at], &value, 4); };
    memcpy(&header[0], "IMOD", 4);
    set32(4, 256);
    set32(8, 0x20000000);
    if (wide) {
      const uint64_t length = content.size();
      memcpy(&header[184], &length, 8);
    } else {
      set32(76, static_cast<uint32_t>(content.size()));
    }
    header[82] = 1;
    memcpy(&header[84], "test_model", 10);
    set32(152, 2);
    set32(156, 1);
    return header + content;
  }
};

// ONNX and ACL numbers of the types used below.
constexpr int kOnnxFloat = 1;
constexpr int kOnnxUint8 = 2;
constexpr int kOnnxInt8 = 3;
constexpr int kOnnxInt32 = 6;
constexpr int kAclFloat = 0;
constexpr int kAclInt32 = 3;

inline std::string floats(const std::vector<float> &values) {
  return std::string(reinterpret_cast<const char *>(values.data()), values.size() * 4);
}

/** y = x + [1, 2, 3, 4] on float[1,4]; 2.5 ms on the device, in two kernels. */
inline Om addModel() {
  Om om;
  om.payload = Onnx()
                   .input("x", kOnnxFloat, {1, 4})
                   .output("y", kOnnxFloat, {1, 4})
                   .initializer("b", kOnnxFloat, {4}, floats({1, 2, 3, 4}))
                   .node("Add", {"x", "b"}, "y")
                   .bytes();
  om.inputs = {{"x", kAclFloat, 16, {1, 4}}};
  om.outputs = {{"add:0:y", kAclFloat, 16, {1, 4}}};
  om.totalNs = {2'500'000};
  om.kernels = {{"add", "Add", {2'000'000}}, {"cast", "Cast", {500'000}}};
  return om;
}

/** y = x * 2 on float[n,3] with batch gears 1, 2 and 4, taking 1, 2 and 4 ms. */
inline Om batchModel() {
  Om om;
  om.payload = Onnx()
                   .input("x", kOnnxFloat, {-1, 3})
                   .output("y", kOnnxFloat, {-1, 3})
                   .initializer("two", kOnnxFloat, {1}, floats({2}))
                   .node("Mul", {"x", "two"}, "y")
                   .bytes();
  om.inputs = {{"x", kAclFloat, 48, {-1, 3}}, {"ascend_mbatch_shape_data", kAclInt32, 4, {1}}};
  om.outputs = {{"mul:0:y", kAclFloat, 48, {4, 3}}};
  om.gearType = 2;
  om.gears = {{1}, {2}, {4}};
  om.outputShapes = {"0,0,1,3", "1,0,2,3", "2,0,4,3"};
  om.totalNs = {1'000'000, 2'000'000, 4'000'000};
  om.kernels = {{"mul", "Mul", {1'000'000, 2'000'000, 4'000'000}}};
  return om;
}

/** y = x + x on float[1,1,h,w] with image gears 2x2 and 3x4. */
inline Om imageModel() {
  Om om;
  om.payload = Onnx()
                   .input("x", kOnnxFloat, {1, 1, -1, -1})
                   .output("y", kOnnxFloat, {1, 1, -1, -1})
                   .node("Add", {"x", "x"}, "y")
                   .bytes();
  // Height and width are different dimensions: the builder's symbol "n" would make them one.
  for (size_t at = om.payload.find("\x12\x01n"), seen = 0; at != std::string::npos;
       at = om.payload.find("\x12\x01n", at + 1), ++seen) {
    if (seen % 2 == 1) om.payload[at + 2] = 'm';
  }
  om.inputs = {{"x", kAclFloat, 48, {1, 1, -1, -1}, 0}, {"ascend_mbatch_shape_data", kAclInt32, 8, {2}}};
  om.outputs = {{"add:0:y", kAclFloat, 48, {1, 1, 3, 4}, 0}};
  om.gearType = 3;
  om.gears = {{2, 2}, {3, 4}};
  om.outputShapes = {"0,0,1,1,2,2", "1,0,1,1,3,4"};
  om.totalNs = {300'000, 700'000};
  om.kernels = {{"add", "Add", {300'000, 700'000}}};
  return om;
}

/** y = a + b, float[n,2] and float[1,2], with dims gears n = 1 and n = 3. */
inline Om dimsModel() {
  Om om;
  om.payload = Onnx()
                   .input("a", kOnnxFloat, {-1, 2})
                   .input("b", kOnnxFloat, {1, 2})
                   .output("y", kOnnxFloat, {-1, 2})
                   .node("Add", {"a", "b"}, "y")
                   .bytes();
  om.inputs = {{"a", kAclFloat, 24, {-1, 2}}, {"b", kAclFloat, 8, {1, 2}}, {"ascend_mbatch_shape_data", kAclInt32, 4, {1}}};
  om.outputs = {{"add:0:y", kAclFloat, 24, {3, 2}}};
  om.gearType = 4;
  om.gears = {{1}, {3}};
  om.outputShapes = {"0,0,1,2", "1,0,3,2"};
  om.totalNs = {100'000, 200'000};
  om.kernels = {{"add", "Add", {100'000, 200'000}}};
  return om;
}

/** The custom operators chained: quantize, integer multiply, dequantize; and a rounding. float[2,4] -> float[2,3]. */
inline Om quantModel() {
  Om om;
  const std::string weight("\x01\x02\x03\xFF\xFE\xFD\x04\x05\x06\x07\xF8\x09", 12);  // int8[4,3]
  om.payload = Onnx()
                   .input("x", kOnnxFloat, {2, 4})
                   .output("y", kOnnxFloat, {2, 3})
                   .output("r", kOnnxFloat, {2, 4})
                   .initializer("w", kOnnxInt8, {4, 3}, weight)
                   .initializer("zp", kOnnxUint8, {}, std::string("\x7B", 1))  // 128 + offset -5
                   .initializer("s", kOnnxFloat, {3}, floats({0.5f, 0.25f, 2.0f}))
                   .node("AscendQuant", {"x"}, "q",
                         {floatAttribute("scale", 10.0f), floatAttribute("offset", -5.0f), intAttribute("fp16", 1)},
                         "ascendsim")
                   .node("MatMulInteger", {"q", "w", "zp"}, "acc")
                   .node("AscendDequant", {"acc", "s"}, "y", {intAttribute("axis", 1), intAttribute("fp16", 1)},
                         "ascendsim")
                   .node("RoundFp16", {"x"}, "r", {}, "ascendsim")
                   .bytes();
  om.inputs = {{"x", kAclFloat, 32, {2, 4}}};
  om.outputs = {{"dequant:0:y", kAclFloat, 24, {2, 3}}, {"round:0:r", kAclFloat, 32, {2, 4}}};
  return om;
}

}  // namespace build
