// Bytes that drive a hostile frontend: it writes what it likes into ring and indirect pages, moves
// every index anywhere, and grants and revokes while requests are in flight. For a fuzzer, and for
// a test with seeded bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace splitring::backend {

struct HostileOutcome {
  std::string fault;  // what the backend did that it must not; empty: nothing
  uint64_t answers = 0;
};

// What must hold: pages that are not granted, or only to be read, keep their bytes; a read-only
// disk is asked for no change; no more is in flight than there are slots; as many answers as
// requests were taken; nothing stays mapped; and it comes to rest.
HostileOutcome run_hostile_frontend(std::span<const uint8_t> input);

}  // namespace splitring::backend
