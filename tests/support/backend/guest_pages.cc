#include "tests/support/backend/guest_pages.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <stdexcept>

namespace splitring::backend {
namespace {

std::byte* require_mapped(void* memory) {
  if (memory == MAP_FAILED) throw std::runtime_error("mmap of a test's pages");
  return static_cast<std::byte*>(memory);
}

}  // namespace

GuestPages::GuestPages(uint32_t pages)
    : grants_(pages), memory_(::memfd_create("guest", MFD_CLOEXEC)) {
  const size_t bytes = size_t{pages} * kPageSize;
  if (!memory_ || ::ftruncate(memory_.get(), static_cast<off_t>(bytes)) != 0)
    throw std::runtime_error("memfd of a test's pages");
  view_ = map_all();
  hostile_view_ = map_all();
}

GuestPages::~GuestPages() {
  ::munmap(view_, grants_.size() * kPageSize);
  ::munmap(hostile_view_, grants_.size() * kPageSize);
}

std::byte* GuestPages::map_all() const {
  return require_mapped(::mmap(nullptr, grants_.size() * kPageSize, PROT_READ | PROT_WRITE,
                               MAP_SHARED, memory_.get(), 0));
}

std::span<std::byte> GuestPages::page(uint32_t ref) {
  static_cast<void>(entry(ref));
  return {view_ + size_t{ref - kFirstRef} * kPageSize, kPageSize};
}

std::span<std::byte> GuestPages::hostile_page(uint32_t ref) {
  static_cast<void>(entry(ref));
  return {hostile_view_ + size_t{ref - kFirstRef} * kPageSize, kPageSize};
}

void GuestPages::grant_all(Access access) {
  for (uint32_t i = 0; i < count(); i++) grant(kFirstRef + i, access);
}

bool GuestPages::allowed(GrantRef ref, Access access) const {
  const uint32_t index = raw(ref) - kFirstRef;
  return index < grants_.size() && grants_[index].granted &&
         (access == Access::kReadOnly || grants_[index].access == Access::kReadWrite);
}

Result<Mapping> GuestPages::map(DomId peer, std::span<const GrantRef> refs, Access access) {
  if (peer != kGuest) return fail(Errc::kInvalid, "not this guest's");
  for (const GrantRef ref : refs)
    if (!allowed(ref, access)) return fail(Errc::kInvalid, "not granted");
  const size_t bytes = refs.size() * kPageSize;
  std::byte* const base = require_mapped(
      ::mmap(nullptr, bytes + 2 * kPageSize, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  const int protection = access == Access::kReadOnly ? PROT_READ : PROT_READ | PROT_WRITE;
  for (size_t i = 0; i < refs.size(); i++)
    require_mapped(::mmap(base + (i + 1) * kPageSize, kPageSize, protection, MAP_SHARED | MAP_FIXED,
                          memory_.get(),
                          static_cast<off_t>(raw(refs[i]) - kFirstRef) * off_t{kPageSize}));
  maps_++;
  mapped_pages_ += static_cast<uint32_t>(refs.size());
  most_mapped_pages_ = std::max(most_mapped_pages_, mapped_pages_);
  return Mapping(*this, {base + kPageSize, bytes});
}

void GuestPages::unmap(std::span<std::byte> bytes) noexcept {
  ::munmap(bytes.data() - kPageSize, bytes.size() + 2 * kPageSize);
  mapped_pages_ -= static_cast<uint32_t>(bytes.size() / kPageSize);
}

Result<> GuestPages::copy(DomId peer, std::span<GrantCopy> pieces) {
  if (peer != kGuest || fail_all_copies) return fail(Errc::kInvalid, "no copies today");
  copies_++;
  for (GrantCopy& piece : pieces) {
    const bool from_peer = piece.direction == GrantCopy::Direction::kFromPeer;
    piece.status = GrantCopy::Status::kFailed;
    if (!allowed(piece.ref, from_peer ? Access::kReadOnly : Access::kReadWrite)) continue;
    if (piece.offset + piece.length > kPageSize || (fails_copy && fails_copy(piece.ref))) continue;
    std::byte* const granted = page(raw(piece.ref)).data() + piece.offset;
    std::memcpy(from_peer ? piece.local : granted, from_peer ? granted : piece.local, piece.length);
    piece.status = GrantCopy::Status::kOk;
  }
  return {};
}

}  // namespace splitring::backend
