#include "grant/emulated_pages.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>
#include <string>

#include "base/units.h"

namespace splitring {
namespace {

constexpr int kSizeSeals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
constexpr int kWriteSeals = F_SEAL_WRITE | F_SEAL_FUTURE_WRITE;

constexpr int seals_for(Access access) {
  return access == Access::kReadOnly ? kSizeSeals | F_SEAL_FUTURE_WRITE : kSizeSeals;
}

}  // namespace

Result<> check_page_size() {
  const long size = ::sysconf(_SC_PAGESIZE);
  if (size == kPageSize) return {};
  return fail(Errc::kUnsupported, "the emulated host needs pages of " + std::to_string(kPageSize) +
                                      " bytes; this machine's have " + std::to_string(size));
}

Result<SharedMemory> make_shared_memory(uint32_t pages, Access peer_access) {
  const size_t size = size_t{pages} * kPageSize;
  UniqueFd fd(::memfd_create("splitring-grants", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!fd) return fail_errno("making memory to share", errno);
  if (::ftruncate(fd.get(), static_cast<off_t>(size)) != 0 ||
      ::fallocate(fd.get(), 0, 0, static_cast<off_t>(size)) != 0)
    return fail_errno("allocating " + std::to_string(size) + " bytes to share", errno);
  void* at = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
  if (at == MAP_FAILED) return fail_errno("mapping memory to share", errno);
  if (::fcntl(fd.get(), F_ADD_SEALS, seals_for(peer_access)) != 0) {
    const int error = errno;
    ::munmap(at, size);
    return fail_errno("sealing memory to share (Linux 5.1 or later can)", error);
  }
  return SharedMemory{std::move(fd), {static_cast<std::byte*>(at), size}};
}

Result<> check_shared_memory(int descriptor, uint32_t pages, Access peer_access) {
  const int seals = ::fcntl(descriptor, F_GET_SEALS);
  if (seals < 0 || (seals & (kSizeSeals | kWriteSeals)) != seals_for(peer_access))
    return fail(Errc::kPeer, "memory to share is not sealed as it must be");
  struct statfs system {};
  struct stat status {};
  // Not huge pages: those cannot be mapped one by one.
  if (::fstatfs(descriptor, &system) != 0 || system.f_type != TMPFS_MAGIC ||
      ::fstat(descriptor, &status) != 0 ||
      status.st_size != static_cast<off_t>(uint64_t{pages} * kPageSize))
    return fail(Errc::kPeer, "memory to share has another size than was said");
  return {};
}

Result<> check_sealed(int descriptor, uint64_t pages) {
  const int seals = ::fcntl(descriptor, F_GET_SEALS);
  if (seals < 0 || (seals & kSizeSeals) != kSizeSeals)
    return fail(Errc::kPeer, "shared memory that is not sealed: its owner could take it away");
  struct stat status {};
  if (::fstat(descriptor, &status) != 0 ||
      static_cast<uint64_t>(status.st_size) < pages * kPageSize)
    return fail(Errc::kPeer, "shared memory is shorter than the host said");
  return {};
}

Result<UniqueFd> reopen_read_only(int descriptor) {
  const std::string path = "/proc/self/fd/" + std::to_string(descriptor);
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return fail_errno("reopening shared memory read-only", errno);
  return fd;
}

}  // namespace splitring
