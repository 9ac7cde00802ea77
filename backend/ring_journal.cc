#include "backend/ring_journal.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cassert>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/units.h"

namespace splitring::backend {
namespace {

constexpr uint64_t kMagic = 0x314c4e524a525053;  // "SPRJRNL1", little-endian
constexpr uint64_t kLive = uint64_t{1} << 63;

constexpr size_t bytes_for(uint32_t slots) { return kPageSize + slots * size_t{128}; }

}  // namespace

struct RingJournal::Header {
  uint64_t magic;
  uint64_t token;
  uint32_t slots;
  uint32_t entry_bytes;
  uint32_t abi;
  uint32_t unused;
  std::atomic<uint64_t> consumed;  // the number of the next request to take
};

struct RingJournal::Entry {
  std::atomic<uint64_t> state;  // kLive | number; 0: free
  uint64_t unused;
  std::array<std::byte, kJournalRequestBytes> request;
};

RingJournal::RingJournal(UniqueFd fd, std::filesystem::path path, void* memory, uint32_t slots)
    : fd_(std::move(fd)), path_(std::move(path)), memory_(memory), slots_(slots) {
  static_assert(sizeof(Entry) == 128 && sizeof(Header) == 40);
  static_assert(std::atomic<uint64_t>::is_always_lock_free);
}

RingJournal::RingJournal(RingJournal&& other) noexcept
    : fd_(std::move(other.fd_)),
      path_(std::move(other.path_)),
      memory_(std::exchange(other.memory_, nullptr)),
      slots_(other.slots_) {}

RingJournal::~RingJournal() {
  if (memory_ != nullptr) ::munmap(memory_, bytes_for(slots_));
}

RingJournal::Header& RingJournal::header() const { return *static_cast<Header*>(memory_); }

RingJournal::Entry& RingJournal::entry(uint32_t slot) const {
  assert(slot < slots_);
  return reinterpret_cast<Entry*>(static_cast<std::byte*>(memory_) + kPageSize)[slot];
}

Result<RingJournal> RingJournal::map(UniqueFd fd, const std::filesystem::path& path,
                                     uint32_t slots) {
  const int flags = fd ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS;
  void* memory =
      ::mmap(nullptr, bytes_for(slots), PROT_READ | PROT_WRITE, flags, fd ? fd.get() : -1, 0);
  if (memory == MAP_FAILED) return fail_errno("mapping a ring's journal", errno);
  return RingJournal(std::move(fd), path, memory, slots);
}

Result<RingJournal> RingJournal::create_unnamed(uint32_t slots) {
  assert(slots != 0 && slots <= kMaxJournalSlots);
  return map(UniqueFd(), {}, slots);
}

// Under another name first: nobody finds a journal that is not complete.
Result<RingJournal> RingJournal::create(const std::filesystem::path& path,
                                        const JournalShape& shape) {
  assert(shape.slots != 0 && shape.slots <= kMaxJournalSlots);
  const std::filesystem::path part = path.string() + ".part";
  ::unlink(part.c_str());
  UniqueFd fd(::open(part.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd) return fail_errno(part, errno);
  if (const int error = ::posix_fallocate(fd.get(), 0, static_cast<off_t>(bytes_for(shape.slots))))
    return fail_errno(part, error);
  if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) return fail_errno(part, errno);
  RingJournal journal = TRY(map(std::move(fd), path, shape.slots));
  Header& header = journal.header();
  header.magic = kMagic;
  header.token = shape.token;
  header.slots = shape.slots;
  header.entry_bytes = sizeof(Entry);
  header.abi = shape.abi;
  if (::rename(part.c_str(), path.c_str()) != 0) return fail_errno(path, errno);
  return journal;
}

Result<RingJournal> RingJournal::open(const std::filesystem::path& path,
                                      const JournalShape& shape) {
  assert(shape.slots != 0 && shape.slots <= kMaxJournalSlots);
  UniqueFd fd(::open(path.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW));
  if (!fd) return fail_errno(path, errno);
  if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return fail_errno(path, errno);
    return fail(Errc::kBusy, path.string() + " is in use by another process");
  }
  struct stat status;
  if (::fstat(fd.get(), &status) != 0) return fail_errno(path, errno);
  if (!S_ISREG(status.st_mode) || status.st_size != static_cast<off_t>(bytes_for(shape.slots)))
    return fail(Errc::kInvalid, path.string() + " is no journal of this ring");
  RingJournal journal = TRY(map(std::move(fd), path, shape.slots));
  TRY_VOID(journal.check(shape));
  return journal;
}

Result<> RingJournal::check(const JournalShape& shape) const {
  const Header& found = header();
  if (found.magic != kMagic || found.entry_bytes != sizeof(Entry))
    return fail(Errc::kInvalid, path_.string() + " is of another version of splitringd");
  if (found.token != shape.token || found.slots != shape.slots || found.abi != shape.abi)
    return fail(Errc::kInvalid, path_.string() + " is no journal of this ring");
  const uint64_t consumed = found.consumed.load(std::memory_order_acquire);
  for (uint32_t slot = 0; slot < slots_; slot++) {
    const uint64_t state = entry(slot).state.load(std::memory_order_acquire);
    if (state == 0) continue;
    if (state < kLive || state - kLive > consumed)
      return fail(Errc::kInvalid, path_.string() + " is damaged");
    // The last one was about to be taken.
    if (state - kLive == consumed) entry(slot).state.store(0, std::memory_order_release);
  }
  return {};
}

void RingJournal::start_at(uint32_t ring_index) {
  header().consumed.store(ring_index, std::memory_order_release);
}

void RingJournal::taken(uint32_t slot, std::span<const std::byte> request) {
  assert(request.size() <= kJournalRequestBytes);
  Entry& place = entry(slot);
  std::atomic<uint64_t>& consumed = header().consumed;
  const uint64_t number = consumed.load(std::memory_order_relaxed);
  std::memcpy(place.request.data(), request.data(), request.size());
  place.state.store(kLive | number, std::memory_order_release);
  consumed.store(number + 1, std::memory_order_release);
}

void RingJournal::answered(uint32_t slot) { entry(slot).state.store(0, std::memory_order_release); }

uint32_t RingJournal::consumed_index() const {
  return static_cast<uint32_t>(header().consumed.load(std::memory_order_acquire));
}

std::vector<uint32_t> RingJournal::unanswered() const {
  const auto state = [&](uint32_t slot) {
    return entry(slot).state.load(std::memory_order_acquire);
  };
  std::vector<uint32_t> live;
  for (uint32_t slot = 0; slot < slots_; slot++)
    if (state(slot) != 0) live.push_back(slot);
  std::ranges::sort(live, {}, state);
  return live;
}

std::span<const std::byte> RingJournal::request(uint32_t slot) const { return entry(slot).request; }

bool RingJournal::in_use(const std::filesystem::path& path) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  return fd && ::flock(fd.get(), LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
}

}  // namespace splitring::backend
