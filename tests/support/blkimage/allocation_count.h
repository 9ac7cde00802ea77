// Counts what the test binary takes from the heap with operator new, by thread.
#pragma once

#include <cstddef>

namespace splitring {

size_t allocations_of_this_thread();

}  // namespace splitring
