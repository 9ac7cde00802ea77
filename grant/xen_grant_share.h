// GrantShare of a real Xen: libxengnttab's xengntshr over /dev/xen/gntalloc.
//
// The kernel owns the pages and gives them out zeroed (drivers/xen/gntalloc.c). It frees one only
// when the peer has unmapped it, so quarantine is the kernel's own and its budget (the module's
// `limit`, 1024 pages by default) is what runs out.
#pragma once

#include <memory>

#include "grant/grant_share.h"

struct xengntdev_handle;

namespace splitring {

class XenGrantShare final : public GrantShare {
 public:
  // Errors: kUnsupported where there is no /dev/xen/gntalloc; kPermission.
  static Result<std::unique_ptr<XenGrantShare>> open();

  Result<std::unique_ptr<SharedPages>> share(DomId peer, uint32_t pages,
                                             Access peer_access) override;
  [[nodiscard]] size_t quarantined_pages() override { return 0; }

 private:
  class Pages;
  struct Close {
    void operator()(xengntdev_handle* handle) const;
  };
  using Handle = std::unique_ptr<xengntdev_handle, Close>;

  explicit XenGrantShare(Handle handle) : handle_(std::move(handle)) {}

  Handle handle_;
};

}  // namespace splitring
