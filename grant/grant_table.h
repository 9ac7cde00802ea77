// Reaching pages that another domain has granted to ours: the backend's side of grants.
//
// A GrantTable is a handle, as /dev/xen/gntdev is: open one for each thread, they share nothing.
// Closing it (or the death of the process) unmaps everything that was mapped through it.
//
// The peer may change the bytes of a mapped page at any moment: copy, then check, then use. It may
// also revoke the grant while the page is mapped; the page then stays valid for us until we unmap.
//
// Grant tables of version 1 only: version 2 has brought nothing but advisories (XSA-255, 268, 379,
// 382, 384, 486, 501, 517).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

#include "base/result.h"
#include "base/units.h"
#include "grant/types.h"

namespace splitring {

class GrantTable;

// Granted pages mapped in one contiguous range. Move-only; unmaps on destruction. The table must
// outlive it.
class Mapping {
 public:
  Mapping() = default;
  Mapping(GrantTable& table, std::span<std::byte> bytes) : table_(&table), bytes_(bytes) {}
  Mapping(Mapping&& other) noexcept
      : table_(std::exchange(other.table_, nullptr)), bytes_(std::exchange(other.bytes_, {})) {}
  Mapping& operator=(Mapping&& other) noexcept;
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  ~Mapping() { reset(); }

  [[nodiscard]] std::span<std::byte> bytes() const { return bytes_; }
  explicit operator bool() const { return table_ != nullptr; }
  void reset() noexcept;

 private:
  GrantTable* table_ = nullptr;
  std::span<std::byte> bytes_;
};

// One piece of a batch of grant copies: `length` bytes at `offset` of a granted page, to or from
// our own memory. offset + length <= kPageSize.
struct GrantCopy {
  enum class Direction : uint8_t { kFromPeer, kToPeer };
  enum class Status : uint8_t { kOk, kFailed };

  Direction direction;
  GrantRef ref;
  uint16_t offset;
  uint16_t length;
  std::byte* local;
  Status status = Status::kFailed;  // out: of this piece alone
};

class GrantTable {
 public:
  virtual ~GrantTable() = default;

  // Maps the pages that `peer` granted to us under `refs`, in that order. All or nothing: on an
  // error no page stays mapped. kReadWrite needs a read-write grant. refs is not empty.
  // Errors: kInvalid for a ref that is not granted to us or not with this access; kLimit.
  // Does not allocate unless it fails.
  virtual Result<Mapping> map(DomId peer, std::span<const GrantRef> refs, Access access) = 0;

  // Copies without mapping. Fails as a whole only if nothing was tried; else look at each status.
  // A piece of length 0 is done without looking at its ref.
  virtual Result<> copy(DomId peer, std::span<GrantCopy> pieces) = 0;

 private:
  friend class Mapping;
  virtual void unmap(std::span<std::byte> bytes) noexcept = 0;
};

inline void Mapping::reset() noexcept {
  if (table_ != nullptr) std::exchange(table_, nullptr)->unmap(std::exchange(bytes_, {}));
}

inline Mapping& Mapping::operator=(Mapping&& other) noexcept {
  if (this != &other) {
    reset();
    table_ = std::exchange(other.table_, nullptr);
    bytes_ = std::exchange(other.bytes_, {});
  }
  return *this;
}

}  // namespace splitring
