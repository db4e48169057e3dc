// Bounded readers for untrusted bytes: little-endian fields and protobuf messages. Nothing here reads past the end.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>

namespace ascendsim {

/** A range of bytes that somebody else owns. */
struct Bytes {
  const uint8_t *data = nullptr;
  size_t size = 0;

  bool contains(uint64_t offset, uint64_t length) const { return offset <= size && length <= size - offset; }
  Bytes slice(uint64_t offset, uint64_t length) const {
    return contains(offset, length) ? Bytes{data + offset, static_cast<size_t>(length)} : Bytes{};
  }
  std::string text() const { return std::string(reinterpret_cast<const char *>(data), size); }
};

/** Reads little-endian fields one after the other; after a read past the end `ok` stays false. */
class Cursor {
 public:
  explicit Cursor(Bytes bytes) : bytes_(bytes) {}
  bool ok() const { return ok_; }
  size_t left() const { return bytes_.size - at_; }
  uint32_t u32() { return number<uint32_t>(); }
  int32_t i32() { return static_cast<int32_t>(number<uint32_t>()); }
  uint64_t u64() { return number<uint64_t>(); }
  int64_t i64() { return static_cast<int64_t>(number<uint64_t>()); }
  Bytes take(uint64_t length) {
    if (!ok_ || length > left()) {
      ok_ = false;
      return {};
    }
    const Bytes part{bytes_.data + at_, static_cast<size_t>(length)};
    at_ += static_cast<size_t>(length);
    return part;
  }

 private:
  template <class T>
  T number() {
    const Bytes part = take(sizeof(T));
    T value = 0;
    if (ok_) memcpy(&value, part.data, sizeof value);
    return value;
  }
  Bytes bytes_;
  size_t at_ = 0;
  bool ok_ = true;
};

/** One field of a protobuf message. */
struct Field {
  uint32_t number = 0;
  uint32_t type = 0;  // 0 varint, 1 fixed64, 2 bytes, 5 fixed32
  uint64_t value = 0;
  Bytes bytes;
};

/** Walks the fields of one protobuf message. Groups are refused. */
class Fields {
 public:
  explicit Fields(Bytes message) : message_(message) {}

  /** False at the end or at malformed data (then ok() is false). */
  bool next(Field &field) {
    if (!ok_ || at_ >= message_.size) return false;
    uint64_t key = 0;
    if (!varint(key)) return bad();
    field.number = static_cast<uint32_t>(key >> 3);
    field.type = static_cast<uint32_t>(key & 7);
    field.bytes = {};
    if (field.number == 0 || key >> 32 != 0) return bad();
    switch (field.type) {
      case 0: return varint(field.value) || bad();
      case 1: return fixed(8, field.value) || bad();
      case 5: return fixed(4, field.value) || bad();
      case 2: {
        uint64_t length = 0;
        if (!varint(length) || length > message_.size - at_) return bad();
        field.bytes = {message_.data + at_, static_cast<size_t>(length)};
        at_ += static_cast<size_t>(length);
        return true;
      }
      default: return bad();
    }
  }
  bool ok() const { return ok_; }

 private:
  bool bad() {
    ok_ = false;
    return false;
  }
  bool varint(uint64_t &value) {
    value = 0;
    for (int shift = 0; shift < 70 && at_ < message_.size; shift += 7) {
      const uint8_t byte = message_.data[at_++];
      if (shift < 64) value |= static_cast<uint64_t>(byte & 0x7F) << shift;
      if ((byte & 0x80) == 0) return true;
    }
    return false;
  }
  bool fixed(size_t length, uint64_t &value) {
    if (length > message_.size - at_) return false;
    value = 0;
    memcpy(&value, message_.data + at_, length);
    at_ += length;
    return true;
  }
  Bytes message_;
  size_t at_ = 0;
  bool ok_ = true;
};

}  // namespace ascendsim
