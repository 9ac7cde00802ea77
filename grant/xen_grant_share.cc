#include "grant/xen_grant_share.h"

#include <fcntl.h>

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <string>
#include <utility>
#include <vector>

#include "grant/xen_errors.h"

extern "C" {
#include <xengnttab.h>
}

namespace splitring {
namespace {

// Far above what any kernel's gntalloc is set to; keeps the library's int from overflowing.
constexpr uint32_t kMaxPagesPerShare = 1u << 20;

}  // namespace

class XenGrantShare::Pages final : public SharedPages {
 public:
  Pages(xengntdev_handle* handle, std::span<std::byte> bytes, std::vector<GrantRef> refs)
      : handle_(handle), owned_refs_(std::move(refs)) {
    bytes_ = bytes;
    refs_ = owned_refs_;
  }
  ~Pages() override {
    [[maybe_unused]] const int rc =
        xengntshr_unshare(handle_, bytes_.data(), static_cast<uint32_t>(refs_.size()));
    assert(rc == 0);
  }

 private:
  xengntdev_handle* handle_;
  std::vector<GrantRef> owned_refs_;
};

void XenGrantShare::Close::operator()(xengntdev_handle* handle) const { xengntshr_close(handle); }

Result<std::unique_ptr<XenGrantShare>> XenGrantShare::open() {
  Handle handle(xengntshr_open(nullptr, 0));
  if (handle == nullptr) return fail_opening_xen("/dev/xen/gntalloc", "xen-gntalloc", errno);
  // The library opens this device, unlike the others, without O_CLOEXEC (linux.c of 4.17).
  const int fd = xengntshr_fd(handle.get());
  if (::fcntl(fd, F_SETFD, FD_CLOEXEC) != 0) return fail_errno("/dev/xen/gntalloc", errno);
  return std::unique_ptr<XenGrantShare>(new XenGrantShare(std::move(handle)));
}

Result<std::unique_ptr<SharedPages>> XenGrantShare::share(DomId peer, uint32_t pages,
                                                          Access peer_access) {
  if (pages == 0) return fail(Errc::kInvalid, "a share of no pages");
  const std::string what =
      "sharing " + std::to_string(pages) + " pages with domain " + std::to_string(raw(peer));
  if (pages > kMaxPagesPerShare) return fail(Errc::kLimit, what + ": too many");
  std::vector<uint32_t> numbers(pages);
  void* at = xengntshr_share_pages(handle_.get(), raw(peer), static_cast<int>(pages),
                                   numbers.data(), peer_access == Access::kReadWrite);
  if (at == nullptr) {
    const int error = errno;
    if (error == ENOSPC || error == ENOMEM)
      return fail(Errc::kLimit, what +
                                    ": the kernel allows no more; see gntalloc's `limit` in "
                                    "/sys/module/xen_gntalloc/parameters");
    return fail_errno(what, error);
  }
  const std::span bytes(static_cast<std::byte*>(at), size_t{pages} * kPageSize);
  std::vector<GrantRef> refs(pages);
  std::ranges::transform(numbers, refs.begin(), [](uint32_t number) { return GrantRef{number}; });
  return std::make_unique<Pages>(handle_.get(), bytes, std::move(refs));
}

}  // namespace splitring
