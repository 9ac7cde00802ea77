// Pages of a frontend that stay mapped between requests: a bounded cache from grant reference to
// mapped page, which forgets what was not used for longest (B28).
//
// Pages are mapped in chunks, all that one request misses at once, so that they lie side by side
// and a run of them is one buffer to the disk. A chunk is unmapped as a whole (libxengnttab cannot
// do less), and never while a request uses one of its pages.
//
// A frontend may revoke a grant that is cached: its page stays valid for us until unmapped (B27).
//
// One thread owns a cache. Finding a page allocates nothing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "backend/ring_counters.h"
#include "grant/grant_table.h"

namespace splitring::backend {

class PersistentGrants {
 public:
  using ChunkIndex = uint16_t;
  struct Page {
    std::byte* bytes = nullptr;
    ChunkIndex chunk = 0;
  };

  // Keeps at most `capacity` pages (1 to 32768). The table and counters must outlive it.
  PersistentGrants(GrantTable& table, DomId peer, uint32_t capacity, RingCounters& counters);

  // Finds or maps, read-write, the page of every ref and takes hold of each: pages[i] is refs[i]'s.
  // False if that cannot be done: a bad grant, or everything cached is in use. Then nothing is
  // held. A ref may stand there several times (B25). Precondition: same size, at most capacity.
  bool acquire(std::span<const GrantRef> refs, std::span<Page> pages);

  // Lets go of a page that acquire() gave.
  void release(ChunkIndex chunk);

  [[nodiscard]] uint32_t mapped_pages() const { return mapped_pages_; }

 private:
  static constexpr ChunkIndex kNone = UINT16_MAX;

  struct Chunk {
    Mapping mapping;
    std::vector<GrantRef> refs;  // reserved once; of its pages, in order
    uint32_t users = 0;          // pages of it held by requests
    // Doubly linked: the chunks in use or cached, least recently used first; or the free ones.
    ChunkIndex previous = kNone;
    ChunkIndex next = kNone;
  };
  struct Entry {
    GrantRef ref{};
    ChunkIndex chunk = kNone;  // kNone: empty
    uint16_t page = 0;         // within the chunk
  };

  [[nodiscard]] size_t home(GrantRef ref) const;
  [[nodiscard]] const Entry* find(GrantRef ref) const;
  void insert(GrantRef ref, ChunkIndex chunk, uint16_t page);
  void erase(GrantRef ref);
  bool map_missing(std::span<const GrantRef> refs);
  bool make_room(uint32_t pages);
  void evict(ChunkIndex chunk);
  void unlink(ChunkIndex chunk);
  void append(ChunkIndex chunk);
  void hold(ChunkIndex chunk);

  GrantTable& table_;
  DomId peer_;
  uint32_t capacity_;
  RingCounters& counters_;
  std::vector<Chunk> chunks_;   // as many as pages: a chunk has at least one
  std::vector<Entry> entries_;  // open addressing, linear probing, at most half full
  std::vector<GrantRef> missing_;
  uint32_t mapped_pages_ = 0;
  ChunkIndex free_ = kNone;
  ChunkIndex oldest_ = kNone;
  ChunkIndex newest_ = kNone;
};

}  // namespace splitring::backend
