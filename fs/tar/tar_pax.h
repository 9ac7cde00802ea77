// Extended headers of pax archives: records "LENGTH KEY=VALUE\n", LENGTH in decimal counting the
// whole record. Source: POSIX.1-2017 pax, "pax Extended Header". Pure; callable from any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace splitring {

// Longest extended header that is read; longer ones belong to nothing we could serve.
inline constexpr uint64_t kMaxPaxBytes = uint64_t{1} << 20;

// What the index needs of an extended header. An unset field leaves the ordinary header's value.
struct PaxFields {
  std::optional<std::string> path;
  std::optional<std::string> link_path;
  std::optional<uint64_t> size;
  std::optional<int64_t> mtime_s;  // rounded down
  bool sparse = false;             // any GNU.sparse record: the body is not the file's bytes
};

// Lays the records over `fields`: of two with one key the later wins, an empty value takes an
// earlier one back. Errors (kInvalid): a length that is wrong in any way, no '=', no newline at the
// end, a size or time that is no number. `fields` is then half-changed: drop it.
Result<> apply_pax_records(std::string_view records, PaxFields& fields);

}  // namespace splitring
