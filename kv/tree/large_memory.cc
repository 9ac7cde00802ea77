#include "kv/tree/large_memory.h"

#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>

#include "base/units.h"

namespace splitring::kv {
namespace {

constexpr size_t kHugePageBytes = size_t{2} << 20;

}  // namespace

void LargeMemory::Unmap::operator()(std::byte* memory) const noexcept { ::munmap(memory, bytes); }

Result<LargeMemory> LargeMemory::reserve(size_t bytes) {
  const size_t whole = round_up(bytes, kPageSize);
  // A mapping that large begins where a huge page may.
  void* const memory = ::mmap(nullptr, whole, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED)
    return fail(Errc::kLimit, "there is no memory of " + std::to_string(bytes) + " bytes");
  if (whole >= kHugePageBytes) ::madvise(memory, whole, MADV_HUGEPAGE);  // only faster
  LargeMemory result;
  result.memory_ = {static_cast<std::byte*>(memory), Unmap{whole}};
  return result;
}

void LargeMemory::shrink(size_t bytes) noexcept {
  const size_t whole = this->bytes().size();
  const size_t kept = std::max<size_t>(round_up(bytes, kPageSize), kPageSize);
  if (kept >= whole) return;
  ::munmap(memory_.get() + kept, whole - kept);
  memory_.get_deleter().bytes = kept;
}

}  // namespace splitring::kv
