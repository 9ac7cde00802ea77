// Whole reads and writes of a file's bytes: short ones and interruptions are gone on with.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/result.h"

namespace splitring {

// Errors: the file's; kIo if it ends before.
Result<> read_file_bytes(int fd, uint64_t offset, std::span<std::byte> out);
Result<> write_file_bytes(int fd, uint64_t offset, std::span<const std::byte> in);

}  // namespace splitring
