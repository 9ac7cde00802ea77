#include "tests/support/grant/allocation_counter.h"

#include <cstdlib>
#include <new>

namespace {

thread_local uint64_t allocations = 0;

}  // namespace

namespace splitring::testing {

uint64_t allocations_of_this_thread() { return allocations; }

}  // namespace splitring::testing

// The other forms of the library end in these; those of a sanitizer do not, so the one that the
// library itself uses is here, too.
void* operator new(size_t size, const std::nothrow_t& /*tag*/) noexcept {
  allocations++;
  return std::malloc(size == 0 ? 1 : size);
}
void* operator new(size_t size) {
  if (void* memory = ::operator new(size, std::nothrow)) return memory;
  throw std::bad_alloc();
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t) noexcept { std::free(memory); }
