// Counts what goes through operator new, so that a test can claim that a path does not allocate.
#pragma once

#include <cstdint>

namespace splitring::testing {

uint64_t allocations_of_this_thread();

}  // namespace splitring::testing
