#include "grant/emulated_grant_table.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cassert>
#include <cerrno>
#include <string>
#include <utility>

#include "grant/emulated_pages.h"

namespace splitring {
namespace {

constexpr size_t kBatch = wire::kMaxRefsPerMessage;

// A batch is known to the server by where it lies in our memory: unique, and unmap() knows it.
uint64_t token_of(const std::byte* base) { return reinterpret_cast<uintptr_t>(base); }

uint32_t to_wire(Access access) {
  return static_cast<uint32_t>(access == Access::kReadOnly ? wire::WireAccess::kReadOnly
                                                           : wire::WireAccess::kReadWrite);
}

// A request's head with its items, without allocation.
template <class Head, class Item>
class CountedRequest {
 public:
  explicit CountedRequest(const Head& head) { std::memcpy(bytes_.data(), &head, sizeof head); }
  void add(const Item& item) {
    std::memcpy(bytes_.data() + size_, &item, sizeof item);
    size_ += sizeof item;
  }
  [[nodiscard]] std::span<const std::byte> frame() const { return {bytes_.data(), size_}; }

 private:
  std::array<std::byte, sizeof(Head) + kBatch * sizeof(Item)> bytes_;
  size_t size_ = sizeof(Head);
};

using Pages = std::array<wire::MappedPage, kBatch>;

// The reply's entries, each checked to name a descriptor that came along (or none, if allowed).
Result<std::span<const wire::MappedPage>> read_pages(EmulatedConnection& connection,
                                                     std::span<const std::byte> frame, size_t count,
                                                     bool may_be_refused, Pages& pages) {
  const auto items = frame.subspan(sizeof(wire::MapReply));
  if (items.size() != count * sizeof(wire::MappedPage) ||
      EmulatedConnection::read<wire::MapReply>(frame).descriptors !=
          connection.descriptors().size())
    return fail(Errc::kPeer, "the emulated host's answer to a map makes no sense");
  std::memcpy(pages.data(), items.data(), items.size());
  for (const wire::MappedPage& page : std::span(pages).first(count))
    if (page.descriptor >= connection.descriptors().size() &&
        !(may_be_refused && page.descriptor == wire::kRefused))
      return fail(Errc::kPeer, "the emulated host names a descriptor that did not come");
  return std::span<const wire::MappedPage>(pages).first(count);
}

}  // namespace

Result<std::unique_ptr<EmulatedGrantTable>> EmulatedGrantTable::open(
    const std::filesystem::path& socket_path) {
  TRY_VOID(check_page_size());
  auto connection = TRY(EmulatedConnection::open(socket_path));
  return std::unique_ptr<EmulatedGrantTable>(new EmulatedGrantTable(std::move(connection)));
}

Result<Mapping> EmulatedGrantTable::map(DomId peer, std::span<const GrantRef> refs, Access access) {
  assert(!refs.empty());
  const size_t size = refs.size() * kPageSize;
  void* reserved =
      ::mmap(nullptr, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (reserved == MAP_FAILED) return fail_errno("reserving room for granted pages", errno);
  auto* base = static_cast<std::byte*>(reserved);
  for (size_t first = 0; first < refs.size(); first += kBatch) {
    const auto batch = refs.subspan(first, std::min(kBatch, refs.size() - first));
    auto mapped = map_batch(peer, batch, access, base + first * kPageSize);
    if (mapped) continue;
    ::munmap(base, size);
    unpin_batches(base, first);
    return tl::unexpected(std::move(mapped).error());
  }
  return Mapping(*this, {base, size});
}

// An error leaves nothing pinned; what it may have placed in the reserved range is the caller's.
Result<> EmulatedGrantTable::map_batch(DomId peer, std::span<const GrantRef> refs, Access access,
                                       std::byte* base) {
  CountedRequest<wire::MapRequest, le32> request(
      {static_cast<uint32_t>(wire::Type::kMap), raw(peer), to_wire(access),
       static_cast<uint32_t>(refs.size()), token_of(base)});
  for (const GrantRef ref : refs) request.add(raw(ref));
  const auto frame = TRY(connection_.call<wire::MapReply>(request.frame()));
  Pages room;
  auto pages = read_pages(connection_, frame, refs.size(), false, room);
  auto placed = pages ? place(*pages, access, base) : tl::unexpected(std::move(pages).error());
  if (!placed) unpin_batches(base, refs.size());
  return placed;
}

// Pages that follow each other in one share are mapped at once.
Result<> EmulatedGrantTable::place(std::span<const wire::MappedPage> pages, Access access,
                                   std::byte* base) {
  const auto descriptors = connection_.descriptors();
  const int protection = access == Access::kReadOnly ? PROT_READ : PROT_READ | PROT_WRITE;
  for (size_t first = 0; first < pages.size();) {
    const uint32_t descriptor = pages[first].descriptor;
    const uint64_t page = pages[first].page;
    size_t run = 1;
    while (first + run < pages.size() && pages[first + run].descriptor == descriptor &&
           pages[first + run].page == page + run)
      run++;
    const int fd = descriptors[descriptor].get();
    TRY_VOID(check_sealed(fd, page + run));
    if (::mmap(base + first * kPageSize, run * kPageSize, protection, MAP_SHARED | MAP_FIXED, fd,
               static_cast<off_t>(page * kPageSize)) == MAP_FAILED)
      return fail_errno("mapping granted pages", errno);
    first += run;
  }
  return {};
}

// If the host has stopped there is nobody left to count, and nothing to do about an error.
void EmulatedGrantTable::unpin_batches(std::byte* base, size_t pages) noexcept {
  for (size_t first = 0; first < pages; first += kBatch)
    (void)connection_.call_exactly<wire::ReplyHeader>(wire::UnmapRequest{
        static_cast<uint32_t>(wire::Type::kUnmap), {}, token_of(base + first * kPageSize)});
}

void EmulatedGrantTable::unmap(std::span<std::byte> bytes) noexcept {
  // In this order: once unpinned, the owner may think that nobody looks any more.
  ::munmap(bytes.data(), bytes.size());
  unpin_batches(bytes.data(), bytes.size() / kPageSize);
}

Result<> EmulatedGrantTable::copy(DomId peer, std::span<GrantCopy> pieces) {
  for (GrantCopy& piece : pieces) {
    assert(piece.offset + size_t{piece.length} <= kPageSize);
    piece.status = piece.length == 0 ? GrantCopy::Status::kOk : GrantCopy::Status::kFailed;
  }
  std::array<GrantCopy*, kBatch> batch;
  size_t count = 0;
  bool tried = false;
  for (size_t i = 0; i < pieces.size(); i++) {
    if (pieces[i].length > 0) batch[count++] = &pieces[i];
    if (count == 0 || (count < kBatch && i + 1 < pieces.size())) continue;
    auto copied = copy_batch(peer, std::span(batch).first(count));
    // Later pieces keep kFailed.
    if (!copied) return tried ? Result<>() : std::move(copied);
    tried = true;
    count = 0;
  }
  return {};
}

Result<> EmulatedGrantTable::copy_batch(DomId peer, std::span<GrantCopy*> pieces) {
  CountedRequest<wire::ResolveRequest, wire::ResolveItem> request(
      {static_cast<uint32_t>(wire::Type::kResolve), raw(peer),
       static_cast<uint32_t>(pieces.size())});
  for (const GrantCopy* piece : pieces)
    request.add({raw(piece->ref), to_wire(piece->direction == GrantCopy::Direction::kFromPeer
                                              ? Access::kReadOnly
                                              : Access::kReadWrite)});
  const auto frame = TRY(connection_.call<wire::MapReply>(request.frame()));
  Pages room;
  const auto pages = TRY(read_pages(connection_, frame, pieces.size(), true, room));
  for (size_t i = 0; i < pieces.size(); i++) {
    if (pages[i].descriptor == wire::kRefused) continue;
    GrantCopy& piece = *pieces[i];
    const int fd = connection_.descriptors()[pages[i].descriptor].get();
    const auto at = static_cast<off_t>(uint64_t{pages[i].page} * kPageSize + piece.offset);
    const ssize_t moved = piece.direction == GrantCopy::Direction::kFromPeer
                              ? ::pread(fd, piece.local, piece.length, at)
                              : ::pwrite(fd, piece.local, piece.length, at);
    if (moved == ssize_t{piece.length}) piece.status = GrantCopy::Status::kOk;
  }
  return {};
}

}  // namespace splitring
