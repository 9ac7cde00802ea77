// What to tell a person whose machine does not let us at Xen.
#pragma once

#include "base/result.h"

namespace splitring {

// For a library's open call that failed on `device`, which the kernel module makes.
[[nodiscard]] tl::unexpected<Error> fail_opening_xen(const char* device, const char* module,
                                                     int error_number);

}  // namespace splitring
