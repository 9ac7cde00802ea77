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

struct PaxTime {
  int64_t s = 0;  // since 1970, rounded down
  uint32_t ns = 0;
};

// ".5" of "1.5", in nanoseconds; finer digits are dropped. Precondition: digits only.
uint32_t parse_fraction(std::string_view digits) {
  uint32_t ns = 0;
  for (size_t i = 0; i < 9; i++)
    ns = ns * 10 + (i < digits.size() ? static_cast<uint32_t>(digits[i] - '0') : 0);
  return ns;
}

// "-1.5" -> -2 s + 500'000'000 ns.
std::optional<PaxTime> parse_time(std::string_view text) {
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
  const uint32_t ns = parse_fraction(fraction);
  if (!negative) return PaxTime{seconds, ns};
  if (fraction.find_first_not_of('0') == std::string_view::npos) return PaxTime{-seconds, 0};
  return PaxTime{-seconds - 1, ns == 0 ? 999'999'999 : 1'000'000'000 - ns};
}

Result<uint64_t> parse_number(const Record& record) {
  const auto number = parse_decimal(record.value, std::numeric_limits<int64_t>::max());
  if (!number) return fail(Errc::kInvalid, "pax " + std::string(record.key) + " is no number");
  return *number;
}

Result<> set_time(const Record& record, PaxFields& fields) {
  fields.mtime_s.reset();
  fields.mtime_ns = 0;
  if (record.value.empty()) return {};
  const auto time = parse_time(record.value);
  if (!time) return fail(Errc::kInvalid, "pax mtime is no number");
  fields.mtime_s = time->s;
  fields.mtime_ns = time->ns;
  return {};
}

Result<> set_owner(const Record& record, std::optional<uint32_t>& field) {
  field.reset();
  if (record.value.empty()) return {};
  const uint64_t number = TRY(parse_number(record));
  field = number > UINT32_MAX ? 0 : static_cast<uint32_t>(number);
  return {};
}

Result<> apply_sparse(const Record& record, PaxSparse& sparse) {
  const std::string_view key = record.key.substr(std::string_view("GNU.sparse.").size());
  if (key == "name") {
    sparse.name = record.value;
  } else if (key == "size" || key == "realsize") {
    sparse.size = TRY(parse_number(record));
  } else if (key == "major") {
    sparse.major = TRY(parse_number(record));
  } else if (key == "map") {
    TRY_VOID(sparse.map.add_text(record.value, ','));
  } else if (key == "offset") {
    sparse.first = TRY(parse_number(record));
  } else if (key == "numbytes") {
    if (!sparse.first) return fail(Errc::kInvalid, "its sparse map has a length without a place");
    TRY_VOID(sparse.map.add(*sparse.first, TRY(parse_number(record))));
    sparse.first.reset();
  }
  return {};
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
    if (!record.value.empty()) fields.size = TRY(parse_number(record));
  } else if (record.key == "mtime") {
    return set_time(record, fields);
  } else if (record.key == "uid") {
    return set_owner(record, fields.uid);
  } else if (record.key == "gid") {
    return set_owner(record, fields.gid);
  } else if (record.key.starts_with("GNU.sparse.")) {
    if (!fields.sparse) fields.sparse.emplace();
    return apply_sparse(record, *fields.sparse);
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
