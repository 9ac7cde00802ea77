#include "blkimage/file_bytes.h"

#include <unistd.h>

#include <cerrno>

namespace splitring {

Result<> read_file_bytes(int fd, uint64_t offset, std::span<std::byte> out) {
  while (!out.empty()) {
    const ssize_t got = ::pread(fd, out.data(), out.size(), static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fail_errno("reading", errno);
    if (got == 0) return fail(Errc::kIo, "reading: the file ends before");
    out = out.subspan(static_cast<size_t>(got));
    offset += static_cast<uint64_t>(got);
  }
  return {};
}

Result<> write_file_bytes(int fd, uint64_t offset, std::span<const std::byte> in) {
  while (!in.empty()) {
    const ssize_t put = ::pwrite(fd, in.data(), in.size(), static_cast<off_t>(offset));
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return fail_errno("writing", errno);
    in = in.subspan(static_cast<size_t>(put));
    offset += static_cast<uint64_t>(put);
  }
  return {};
}

}  // namespace splitring
