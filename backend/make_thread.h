// A thread, or the reason why there is none: the system's limit of threads is reached some day, and
// that is the trouble of one device, not the end of the daemon.
#pragma once

#include <functional>
#include <thread>

#include "base/result.h"

namespace splitring::backend {

// Errors: kLimit, with the limits that there are.
Result<std::thread> make_thread(std::function<void()> body);

}  // namespace splitring::backend
