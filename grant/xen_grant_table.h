// GrantTable of a real Xen: libxengnttab over /dev/xen/gntdev.
//
// Not usable in the child of a fork. Two things to know of the library (tools/libs/gnttab/linux.c
// of 4.17): a map of pages that the peer's domain has paged out waits in 1 ms steps in our thread,
// and a map allocates a request of its own.
#pragma once

#include <memory>
#include <vector>

#include "grant/grant_table.h"

struct xengntdev_handle;

namespace splitring {

class XenGrantTable final : public GrantTable {
 public:
  // Errors: kUnsupported where there is no /dev/xen/gntdev; kPermission.
  static Result<std::unique_ptr<XenGrantTable>> open();

  Result<Mapping> map(DomId peer, std::span<const GrantRef> refs, Access access) override;
  Result<> copy(DomId peer, std::span<GrantCopy> pieces) override;

 private:
  struct Close {
    void operator()(xengntdev_handle* handle) const;
  };
  using Handle = std::unique_ptr<xengntdev_handle, Close>;

  explicit XenGrantTable(Handle handle) : handle_(std::move(handle)) {}
  void unmap(std::span<std::byte> bytes) noexcept override;
  Result<> copy_batch(DomId peer, std::span<GrantCopy*> pieces);

  Handle handle_;
  std::vector<uint32_t> refs_;  // of the map under way; grows to the largest
};

}  // namespace splitring
