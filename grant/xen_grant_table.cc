#include "grant/xen_grant_table.h"

#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <cassert>
#include <cerrno>
#include <string>
#include <utility>

#include "grant/xen_errors.h"

extern "C" {
#include <xengnttab.h>
}

namespace splitring {
namespace {

constexpr size_t kMaxRefsPerMap = 65536;  // drivers/xen/gntdev.c: `limit`
constexpr size_t kPiecesPerCall = 64;
// GNTST_eagain: the peer's page is being brought in. The kernel has waited for it already
// (drivers/xen/grant-table.c: gnttab_retry_eagain_gop), so a peer gets few more chances (B29).
constexpr int kTries = 3;

void describe(const GrantCopy& piece, DomId peer, xengnttab_grant_copy_segment_t& segment) {
  const bool from_peer = piece.direction == GrantCopy::Direction::kFromPeer;
  segment = {};
  auto& foreign = (from_peer ? segment.source : segment.dest).foreign;
  foreign.ref = raw(piece.ref);
  foreign.offset = piece.offset;
  foreign.domid = raw(peer);
  (from_peer ? segment.dest : segment.source).virt = piece.local;
  segment.len = piece.length;
  segment.flags = from_peer ? GNTCOPY_source_gref : GNTCOPY_dest_gref;
  segment.status = GNTST_general_error;  // if nobody writes it
}

}  // namespace

void XenGrantTable::Close::operator()(xengntdev_handle* handle) const { xengnttab_close(handle); }

Result<std::unique_ptr<XenGrantTable>> XenGrantTable::open() {
  Handle handle(xengnttab_open(nullptr, 0));
  if (handle == nullptr) return fail_opening_xen("/dev/xen/gntdev", "xen-gntdev", errno);
  return std::unique_ptr<XenGrantTable>(new XenGrantTable(std::move(handle)));
}

Result<Mapping> XenGrantTable::map(DomId peer, std::span<const GrantRef> refs, Access access) {
  assert(!refs.empty());
  if (refs.size() > kMaxRefsPerMap)
    return fail(Errc::kLimit, "Linux maps at most 65536 grants at once");
  refs_.resize(refs.size());
  std::ranges::transform(refs, refs_.begin(), [](GrantRef ref) { return raw(ref); });
  const int protection = access == Access::kReadOnly ? PROT_READ : PROT_READ | PROT_WRITE;
  void* at = xengnttab_map_domain_grant_refs(handle_.get(), static_cast<uint32_t>(refs.size()),
                                             raw(peer), refs_.data(), protection);
  if (at != nullptr) return Mapping(*this, {static_cast<std::byte*>(at), refs.size() * kPageSize});
  const int error = errno;
  auto failed =
      fail_errno("mapping " + std::to_string(refs.size()) + " grants of domain " +
                     std::to_string(raw(peer)) + ", from " + std::to_string(raw(refs.front())),
                 error);
  // Whatever the kernel calls it, it is the peer's grant that is no good.
  if (error != ENOMEM && error != ENOSPC) failed.value().code = Errc::kInvalid;
  return failed;
}

void XenGrantTable::unmap(std::span<std::byte> bytes) noexcept {
  const auto pages = static_cast<uint32_t>(bytes.size() / kPageSize);
  [[maybe_unused]] const int rc = xengnttab_unmap(handle_.get(), bytes.data(), pages);
  assert(rc == 0);
}

Result<> XenGrantTable::copy(DomId peer, std::span<GrantCopy> pieces) {
  for (GrantCopy& piece : pieces) {
    assert(piece.offset + size_t{piece.length} <= kPageSize);
    piece.status = piece.length == 0 ? GrantCopy::Status::kOk : GrantCopy::Status::kFailed;
  }
  std::array<GrantCopy*, kPiecesPerCall> batch;
  size_t count = 0;
  bool tried = false;
  for (size_t i = 0; i < pieces.size(); i++) {
    if (pieces[i].length > 0) batch[count++] = &pieces[i];
    if (count == 0 || (count < batch.size() && i + 1 < pieces.size())) continue;
    auto copied = copy_batch(peer, std::span(batch).first(count));
    // What was copied before counts; later pieces keep kFailed.
    if (!copied) return tried ? Result<>() : std::move(copied);
    tried = true;
    count = 0;
  }
  return {};
}

// An error means that nothing was tried. After each try, those that may still work move to the
// front and are tried again.
Result<> XenGrantTable::copy_batch(DomId peer, std::span<GrantCopy*> pieces) {
  std::array<xengnttab_grant_copy_segment_t, kPiecesPerCall> segments;
  for (int tries = 0; tries < kTries && !pieces.empty(); tries++) {
    for (size_t i = 0; i < pieces.size(); i++) describe(*pieces[i], peer, segments[i]);
    if (xengnttab_grant_copy(handle_.get(), static_cast<uint32_t>(pieces.size()),
                             segments.data()) != 0) {
      if (tries > 0) return {};
      return fail_errno("copying from or to grants of domain " + std::to_string(raw(peer)), errno);
    }
    size_t again = 0;
    for (size_t i = 0; i < pieces.size(); i++) {
      if (segments[i].status == GNTST_okay) pieces[i]->status = GrantCopy::Status::kOk;
      if (segments[i].status == GNTST_eagain) pieces[again++] = pieces[i];
    }
    pieces = pieces.first(again);
  }
  return {};
}

}  // namespace splitring
