// Which files a toolstack may have opened (B35).
#pragma once

#include <filesystem>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace splitring::backend {

// Refuses a disk whose file does not lie, links resolved, below one of `roots`. With no roots
// everything is allowed. Disks without a file pass.
Result<> check_image_policy(std::string_view uri, const std::vector<std::filesystem::path>& roots);

}  // namespace splitring::backend
