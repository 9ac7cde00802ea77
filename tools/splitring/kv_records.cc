#include "tools/splitring/kv_records.h"

#include <algorithm>
#include <cerrno>

#include "tools/splitring/kv_text.h"

namespace splitring::tools {

tl::unexpected<Error> RecordReader::broken(const std::string& what) const {
  if (std::ferror(input_) != 0) return fail_errno("reading records", errno);
  const char* const unit = format_ == RecordFormat::kLines ? "line " : "record ";
  return fail(Errc::kInvalid, unit + std::to_string(records_) + ": " + what);
}

Result<bool> RecordReader::next() {
  records_++;
  is_long_ = false;
  return format_ == RecordFormat::kLines ? next_line() : next_cdb();
}

Result<bool> RecordReader::next_line() {
  line_.clear();
  int c = ::getc_unlocked(input_);
  if (c == EOF && std::ferror(input_) == 0) return false;
  for (; c != EOF && c != '\n'; c = ::getc_unlocked(input_)) {
    if (line_.size() == kMaxRecordLine)
      return fail(Errc::kLimit, "line " + std::to_string(records_) +
                                    " is longer than 256 MiB; --format cdb takes any value");
    line_ += static_cast<char>(c);
  }
  if (std::ferror(input_) != 0) return broken("");
  const size_t tab = line_.find('\t');
  if (tab == std::string::npos) return broken("there is no tab between a key and a value");
  const std::string_view line = line_;
  auto key = unescaped(line.substr(0, tab));
  if (!key) return broken(key.error().what);
  auto value = unescaped(line.substr(tab + 1));
  if (!value) return broken(value.error().what);
  key_ = std::move(*key);
  value_ = std::move(*value);
  return true;
}

Result<bool> RecordReader::next_cdb() {
  const int first = std::getc(input_);
  if (first == '\n') return false;
  if (first == EOF) return broken("the end of the file is missing: an empty line");
  if (first != '+') return broken("a record begins with +KEYBYTES,VALUEBYTES:");
  const uint64_t key_bytes = TRY(read_number(','));
  const uint64_t value_bytes = TRY(read_number(':'));
  if (key_bytes > kMaxWholeValue) return broken("its key is longer than any may be");
  TRY_VOID(read_exactly(key_, key_bytes));
  TRY_VOID(expect("->"));
  is_long_ = value_bytes > kMaxWholeValue;
  left_ = value_bytes;
  if (is_long_) return true;
  TRY_VOID(read_exactly(value_, value_bytes));
  TRY_VOID(expect("\n"));
  return true;
}

Result<uint64_t> RecordReader::read_number(char end) {
  uint64_t number = 0;
  size_t digits = 0;
  int c = std::getc(input_);
  for (; c >= '0' && c <= '9'; c = std::getc(input_)) {
    if (++digits > 18) return broken("a length is too large");
    number = number * 10 + static_cast<uint64_t>(c - '0');
  }
  if (digits == 0 || c != end) return broken("a record begins with +KEYBYTES,VALUEBYTES:");
  return number;
}

// Precondition: bytes <= kMaxWholeValue.
Result<> RecordReader::read_exactly(std::string& out, uint64_t bytes) {
  out.resize(bytes);
  if (std::fread(out.data(), 1, bytes, input_) != bytes) return broken("the file ends within it");
  return {};
}

Result<> RecordReader::expect(std::string_view text) {
  for (const char c : text)
    if (std::getc(input_) != c) return broken("its lengths are not those of its key and value");
  return {};
}

Result<size_t> RecordReader::read_value(std::span<std::byte> out) {
  const size_t bytes = std::min<uint64_t>(out.size(), left_);
  if (bytes == 0) return size_t{0};
  if (std::fread(out.data(), 1, bytes, input_) != bytes) return broken("the file ends within it");
  left_ -= bytes;
  if (left_ == 0) TRY_VOID(expect("\n"));
  return bytes;
}

}  // namespace splitring::tools
