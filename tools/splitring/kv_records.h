// Many keys and values as a file: what `kv dump` writes and `kv load` reads.
//
//   lines   KEY TAB VALUE, each line a record, with the escapes of kv_text.h
//   cdb     +KEYBYTES,VALUEBYTES:KEY->VALUE, each followed by a line feed; an empty line ends the
//           file. Safe for any bytes, and values of any length stream. As of cdbmake(1).
#pragma once

#include <cstdint>
#include <cstdio>
#include <optional>
#include <span>
#include <string>

#include "base/result.h"

namespace splitring::tools {

enum class RecordFormat : uint8_t { kLines, kCdb };

// A line is read whole: longer ones are kLimit. Values longer than this are streamed, from cdb.
inline constexpr size_t kMaxRecordLine = size_t{256} << 20;
inline constexpr uint64_t kMaxWholeValue = uint64_t{1} << 20;

// Reads one record after another. What it reads was written by anybody.
class RecordReader {
 public:
  RecordReader(std::FILE* input, RecordFormat format) : input_(input), format_(format) {}
  RecordReader(const RecordReader&) = delete;
  RecordReader& operator=(const RecordReader&) = delete;

  // False: the end. After true key() is there, and value() unless is_long(). Errors say which
  // record, or line.
  Result<bool> next();
  [[nodiscard]] const std::string& key() const { return key_; }
  [[nodiscard]] const std::string& value() const { return value_; }
  // Its value is to be read with read_value(), to the end, before next().
  [[nodiscard]] bool is_long() const { return is_long_; }
  Result<size_t> read_value(std::span<std::byte> out);

 private:
  Result<bool> next_line();
  Result<bool> next_cdb();
  Result<uint64_t> read_number(char end);
  Result<> read_exactly(std::string& out, uint64_t bytes);
  Result<> expect(std::string_view text);
  [[nodiscard]] tl::unexpected<Error> broken(const std::string& what) const;

  std::FILE* input_;
  RecordFormat format_;
  uint64_t records_ = 0;
  std::string line_;
  std::string key_;
  std::string value_;
  bool is_long_ = false;
  uint64_t left_ = 0;  // of a long value
};

}  // namespace splitring::tools
