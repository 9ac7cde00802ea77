// Memory that two processes share: memfds whose size nobody can change any more.
//
// A mapper of somebody else's memfd dies of SIGBUS if the owner shortens it (B40), so both the
// hypervisor's server and the mapper demand the seals before they use one. Memory that is lent
// read-only is sealed against new writers too (F_SEAL_FUTURE_WRITE: the owner's own mapping stays
// writable), so that not even reopening the descriptor makes it writable.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/result.h"
#include "base/unique_fd.h"
#include "grant/types.h"

namespace splitring {

// Fails with kUnsupported where this machine's pages are not those of Xen's ABI.
Result<> check_page_size();

struct SharedMemory {
  UniqueFd descriptor;
  std::span<std::byte> bytes;  // the owner's mapping: read, write, zeroed; to be unmapped by it
};

// Precondition: pages > 0. All of it is allocated at once: touching it cannot fail later.
Result<SharedMemory> make_shared_memory(uint32_t pages, Access peer_access);

// Whether `descriptor` is a memfd of exactly this size, sealed as this access demands.
Result<> check_shared_memory(int descriptor, uint32_t pages, Access peer_access);

// Whether the first `pages` pages of `descriptor` are there and will stay there.
Result<> check_sealed(int descriptor, uint64_t pages);

// A descriptor of the same memory that cannot write.
Result<UniqueFd> reopen_read_only(int descriptor);

}  // namespace splitring
