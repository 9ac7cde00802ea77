#include "fs/tar/tar_pax.h"

#include <limits>

#include "base/parse.h"

namespace splitring {
namespace {

struct Record {
  std::string_view key;
  std::string_view value;
};

// Takes the first record off `rest`.
Result<Record> take_record(std::string_view& rest) {
  const size_t space = rest.find(' ');
  if (space == std::string_view::npos) return fail(Errc::kInvalid, "pax record without a length");
  const auto length = parse_decimal(rest.substr(0, space), rest.size());
  // The shortest record is "5 a=\n": digits, space, key, '=', newline.
  if (!length || *length < space + 4) return fail(Errc::kInvalid, "pax record of a wrong length");
  const std::string_view body = rest.substr(space + 1, *length - space - 1);
  if (body.back() != '\n') return fail(Errc::kInvalid, "pax record does not end with its line");
  const size_t equals = body.find('=');
  if (equals == std::string_view::npos || equals == 0)
    return fail(Errc::kInvalid, "pax record without a key");
  rest.remove_prefix(*length);
  return Record{body.substr(0, equals), body.substr(equals + 1, body.size() - equals - 2)};
}

// "-1.5" -> -2: seconds since 1970, a fraction rounded down.
std::optional<int64_t> parse_time(std::string_view text) {
  const bool negative = text.starts_with('-');
  if (negative) text.remove_prefix(1);
  const size_t point = text.find('.');
  // One less than the maximum leaves room for the rounding.
  const auto whole = parse_decimal(text.substr(0, point), std::numeric_limits<int64_t>::max() - 1);
  if (!whole) return std::nullopt;
  const std::string_view fraction =
      point == std::string_view::npos ? std::string_view() : text.substr(point + 1);
  if (fraction.find_first_not_of("0123456789") != std::string_view::npos) return std::nullopt;
  const auto seconds = static_cast<int64_t>(*whole);
  if (!negative) return seconds;
  return fraction.find_first_not_of('0') == std::string_view::npos ? -seconds : -seconds - 1;
}

void set_text(std::optional<std::string>& field, std::string_view value) {
  if (value.empty())
    field.reset();
  else
    field = value;
}

Result<> apply(const Record& record, PaxFields& fields) {
  if (record.key == "path") {
    set_text(fields.path, record.value);
  } else if (record.key == "linkpath") {
    set_text(fields.link_path, record.value);
  } else if (record.key == "size") {
    fields.size.reset();
    if (record.value.empty()) return {};
    fields.size = parse_decimal(record.value, std::numeric_limits<int64_t>::max());
    if (!fields.size) return fail(Errc::kInvalid, "pax size is no number");
  } else if (record.key == "mtime") {
    fields.mtime_s.reset();
    if (record.value.empty()) return {};
    fields.mtime_s = parse_time(record.value);
    if (!fields.mtime_s) return fail(Errc::kInvalid, "pax mtime is no number");
  } else if (record.key.starts_with("GNU.sparse.")) {
    fields.sparse = true;
  }
  return {};
}

}  // namespace

Result<> apply_pax_records(std::string_view records, PaxFields& fields) {
  while (!records.empty()) {
    const Record record = TRY(take_record(records));
    TRY_VOID(apply(record, fields));
  }
  return {};
}

}  // namespace splitring
