// A guest's memory and its grant table, within a test's process: pages under references that the
// test grants, makes read-only, revokes, or lets fail, and the GrantTable that a backend under test
// maps and copies them with. Counts what is mapped.
//
// Every mapping has an unreadable page on both sides, so that a byte too far faults. A revoked page
// stays valid for who has it mapped, as on Xen.
//
// One thread. Finding, copying and counting allocate nothing; mapping does.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "base/unique_fd.h"
#include "grant/grant_table.h"

namespace splitring::backend {

class GuestPages final : public GrantTable {
 public:
  static constexpr DomId kGuest{7};

  // Pages named by refs kFirstRef, kFirstRef + 1, ...; none is granted yet, all are zero.
  explicit GuestPages(uint32_t pages);
  ~GuestPages() override;
  static constexpr uint32_t kFirstRef = 8;

  // The guest's own view, granted or not.
  [[nodiscard]] std::span<std::byte> page(uint32_t ref);
  // The same bytes at another address, for a thread that changes them while they are looked at: as
  // between two processes, a sanitizer sees no race.
  [[nodiscard]] std::span<std::byte> hostile_page(uint32_t ref);
  [[nodiscard]] uint32_t count() const { return static_cast<uint32_t>(grants_.size()); }

  void grant(uint32_t ref, Access access = Access::kReadWrite) { entry(ref) = {true, access}; }
  void grant_all(Access access = Access::kReadWrite);
  void revoke(uint32_t ref) { entry(ref).granted = false; }

  // Set: copies of this ref fail, whatever is granted.
  std::function<bool(GrantRef)> fails_copy;
  bool fail_all_copies = false;  // as a whole: nothing is tried

  [[nodiscard]] uint32_t mapped_pages() const { return mapped_pages_; }
  [[nodiscard]] uint32_t most_mapped_pages() const { return most_mapped_pages_; }
  [[nodiscard]] uint64_t maps() const { return maps_; }
  [[nodiscard]] uint64_t copies() const { return copies_; }

  Result<Mapping> map(DomId peer, std::span<const GrantRef> refs, Access access) override;
  Result<> copy(DomId peer, std::span<GrantCopy> pieces) override;

 private:
  struct Grant {
    bool granted = false;
    Access access = Access::kReadWrite;
  };

  void unmap(std::span<std::byte> bytes) noexcept override;
  Grant& entry(uint32_t ref) { return grants_.at(ref - kFirstRef); }
  [[nodiscard]] std::byte* map_all() const;
  [[nodiscard]] bool allowed(GrantRef ref, Access access) const;

  std::vector<Grant> grants_;
  UniqueFd memory_;
  std::byte* view_ = nullptr;
  std::byte* hostile_view_ = nullptr;
  uint32_t mapped_pages_ = 0;
  uint32_t most_mapped_pages_ = 0;
  uint64_t maps_ = 0;
  uint64_t copies_ = 0;
};

}  // namespace splitring::backend
