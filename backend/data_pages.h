// How the data of a request is reached: the granted pages of its segments become buffers for the
// disk. Three ways, in this order:
//
//   persistent  the frontend leaves its pages granted: they stay mapped (persistent_grants.h)
//   copied      grant copies to and from pages of our own: no map, no unmap, no TLB flush
//   mapped      mapped for this one request, when the two others cannot serve it
//
// Of all three it has a fixed number of pages (B39). A request for which none are left waits until
// others are done: it is not refused, since an honest frontend with a deep ring asks for as much.
//
// A page that is not persistent is unmapped before its request is answered: Linux fails the disk
// otherwise.
//
// One thread owns it. A request that finds its pages mapped allocates nothing.
#pragma once

#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "backend/persistent_grants.h"
#include "backend/ring_counters.h"
#include "grant/grant_table.h"
#include "ring/blkif_request.h"

namespace splitring::backend {

enum class DataWay : uint8_t { kNone, kPersistent, kCopied, kMapped };

// What one request in flight holds. Slot numbers are the caller's, below `slots`.
struct DataHold {
  DataWay way = DataWay::kNone;
  bool to_peer = false;  // a read: the pages receive
  uint16_t segments = 0;
  Mapping mapping;
};

enum class Acquisition : uint8_t {
  kDone,
  kBadGrant,
  kNoPages,  // others have to finish() first; never when nobody holds any
};

class DataPages {
 public:
  struct Options {
    DomId peer{};
    uint32_t slots = 0;
    uint32_t max_segments = 0;      // of a request: at least 11
    uint32_t persistent_pages = 0;  // 0: the frontend does not leave its pages granted
    uint32_t copy_pages = 0;        // pages of our own for grant copies; 0: always map
    uint32_t mapped_pages = 0;      // mapped for requests at a time: at least max_segments
  };
  DataPages(GrantTable& table, const Options& options, RingCounters& counters);

  // Where the caller writes the checked segments of the request in `slot` before acquire().
  [[nodiscard]] std::span<blkif::CheckedSegment> segments(uint32_t slot);

  // Makes buffers of the first `count` segments of `slot`, which stay valid until finish(). Nothing
  // is held unless it is kDone.
  Acquisition acquire(uint32_t slot, uint16_t count, bool to_peer, DataHold& hold,
                      std::span<const iovec>& buffers);

  // Ends what acquire() began. For a copied read that `succeeded`, gives the peer its data first;
  // false if that failed.
  bool finish(uint32_t slot, DataHold& hold, bool succeeded);

  // Copies `count` segment descriptors out of the indirect pages, each byte once (B5). The result
  // stays valid until the next call. Empty: a grant is bad.
  std::span<const blkif::Segment> load_indirect(std::span<const uint32_t> page_refs,
                                                uint16_t count);

 private:
  struct FreeMemory {
    void operator()(std::byte* memory) const { std::free(memory); }
  };

  bool acquire_persistent(std::span<const blkif::CheckedSegment> segments, uint32_t slot);
  bool acquire_copied(std::span<const blkif::CheckedSegment> segments, uint32_t slot, bool to_peer);
  Acquisition acquire_mapped(std::span<const blkif::CheckedSegment> segments, bool to_peer,
                             DataHold& hold);
  std::span<const iovec> merge_buffers(uint32_t slot, uint16_t count);
  bool copy(std::span<GrantCopy> pieces);
  void free_copy_pages(uint32_t slot, uint16_t count);

  GrantTable& table_;
  Options options_;
  RingCounters& counters_;
  std::optional<PersistentGrants> persistent_;

  // max_segments per slot, side by side.
  std::unique_ptr<blkif::CheckedSegment[]> segments_;
  std::unique_ptr<iovec[]> buffers_;
  std::unique_ptr<uint16_t[]> holds_;  // per segment: chunk (persistent) or page (copied)

  std::unique_ptr<std::byte, FreeMemory> copy_memory_;
  std::vector<uint16_t> free_copy_pages_;  // a stack; never grows beyond its first size
  uint32_t mapped_pages_left_;

  // Scratch of one call.
  std::vector<GrantRef> refs_;
  std::vector<PersistentGrants::Page> pages_;
  std::vector<std::byte*> places_;
  std::vector<GrantCopy> pieces_;
  std::vector<blkif::Segment> indirect_;
};

}  // namespace splitring::backend
