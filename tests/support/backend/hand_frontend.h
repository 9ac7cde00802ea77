// A frontend that a test drives by hand, request by request, in any of the ABIs: it pushes whatever
// the test makes up, right or wrong, and collects the answers with all their bytes.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "ring/blkif_wire.h"

namespace splitring::backend {

struct HandRequest {
  uint8_t operation = blkif::kOpRead;
  uint64_t id = 0;
  uint64_t sector = 0;
  std::vector<blkif::Segment> segments = {};  // written to the ring, at most 11
  uint16_t handle = 0;
  // What the request says it has; below 0: the size of `segments`.
  int segment_count = -1;
};

struct HandIndirect {
  uint8_t inner_operation = blkif::kOpRead;
  uint64_t id = 0;
  uint64_t sector = 0;
  uint16_t segment_count = 0;
  std::array<uint32_t, blkif::kMaxIndirectPages> page_refs{};
};

struct HandAnswer {
  uint64_t id;
  uint8_t operation;
  int16_t status;
  std::vector<std::byte> bytes;  // of the response as it lies in its slot
  bool operator==(const HandAnswer&) const = default;
};

class HandFrontend {
 public:
  // Initialises the ring in `pages`.
  static std::unique_ptr<HandFrontend> make(blkif::Abi abi, std::span<std::byte> pages,
                                            uint32_t first = 0);
  virtual ~HandFrontend() = default;

  virtual void push(const HandRequest& request) = 0;
  virtual void push(const HandIndirect& request) = 0;
  virtual void push_discard(uint64_t id, uint64_t sector, uint64_t count, uint8_t flags = 0) = 0;
  // Shows what was pushed. True: the backend wants to be woken.
  virtual bool publish() = 0;
  // All answers that are there.
  virtual std::vector<HandAnswer> answers() = 0;
  [[nodiscard]] virtual uint32_t slots() const = 0;
  [[nodiscard]] virtual uint32_t free_slots() const = 0;
  [[nodiscard]] virtual size_t slot_bytes() const = 0;
};

}  // namespace splitring::backend
