// Counts the mutexes and read-write locks that this thread takes, wherever in the process, so that
// a test can claim that a path takes none.
#pragma once

#include <cstdint>

namespace splitring::testing {

uint64_t locks_of_this_thread();

}  // namespace splitring::testing
