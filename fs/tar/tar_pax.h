// Extended headers of pax archives: records "LENGTH KEY=VALUE\n", LENGTH in decimal counting the
// whole record. Source: POSIX.1-2017 pax, "pax Extended Header". Pure; callable from any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "fs/tar/tar_sparse.h"

namespace splitring {

// Longest extended header that is read; longer ones belong to nothing we could serve.
inline constexpr uint64_t kMaxPaxBytes = uint64_t{1} << 20;

// Of a sparse member: a map in the header (0.0 and 0.1, which name no version) or in front of the
// body (1.0). Source: GNU tar manual, "Storing Sparse Files".
struct PaxSparse {
  std::optional<std::string> name;  // the member's, in place of `path`
  std::optional<uint64_t> size;     // of the file with its holes
  uint64_t major = 0;
  SparseMap map;
  std::optional<uint64_t> first;  // a GNU.sparse.offset that waits for its GNU.sparse.numbytes
};

// What the index needs of an extended header. An unset field leaves the ordinary header's value.
struct PaxFields {
  std::optional<std::string> path;
  std::optional<std::string> link_path;
  std::optional<uint64_t> size;
  std::optional<int64_t> mtime_s;  // rounded down
  uint32_t mtime_ns = 0;           // that were rounded away
  std::optional<uint32_t> uid;     // more than 32 bits count as 0
  std::optional<uint32_t> gid;
  std::optional<PaxSparse> sparse;  // the body is not the file's bytes
};

// Lays the records over `fields`: of two with one key the later wins, an empty value takes an
// earlier one back. Errors (kInvalid): a length that is wrong in any way, no '=', no newline at the
// end, a size, time, owner or sparse map that is none. `fields` is then half-changed: drop it.
Result<> apply_pax_records(std::string_view records, PaxFields& fields);

}  // namespace splitring
