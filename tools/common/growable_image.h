// The file below a raw: disk, for commands that make it, or let it grow, before they open the disk.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/result.h"

namespace splitring::tools {

// The file that a raw: URI names, if it is a regular one or not there yet. Nothing for any other
// disk, or a partition, whose size is not ours to set.
std::optional<std::string> growable_image(const std::string& uri);

// Makes the file at least that long, and makes it at all if it is not there. What is added is a
// hole.
Result<> grow_image(const std::string& path, uint64_t bytes);

// How long it is; nothing if it is not there. And back to that, after what did not work.
std::optional<uint64_t> image_bytes(const std::string& path);
void restore_image(const std::string& path, std::optional<uint64_t> bytes);

// Makes it, of that length. False: it is there already, and stays as it is.
Result<bool> create_image(const std::string& path, uint64_t bytes);

}  // namespace splitring::tools
