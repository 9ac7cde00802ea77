// Pages of ours that another domain may reach: the frontend's side of grants.
//
// A GrantShare is a handle, as /dev/xen/gntalloc is: open one for each thread that shares. It owns
// the pages it grants, because a Linux guest cannot grant memory from elsewhere
// (libxengnttab's xengntshr_share_pages allocates).
//
// Budget: a Linux guest grants 1024 pages in all by default (drivers/xen/gntalloc.c, `limit`).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "base/result.h"
#include "base/units.h"
#include "grant/types.h"

namespace splitring {

// Page-aligned, contiguous, zeroed pages that hold nothing but what we put there, each granted to
// one domain under one reference. Destruction ends the grants; a page that the peer still has
// mapped then is put in quarantine: it is never used again before the peer lets go of it.
class SharedPages {
 public:
  virtual ~SharedPages() = default;
  SharedPages(const SharedPages&) = delete;
  SharedPages& operator=(const SharedPages&) = delete;

  [[nodiscard]] std::span<std::byte> bytes() const { return bytes_; }
  // refs()[i] grants the page at bytes()[i * kPageSize].
  [[nodiscard]] std::span<const GrantRef> refs() const { return refs_; }

 protected:
  SharedPages() = default;
  std::span<std::byte> bytes_;
  std::span<const GrantRef> refs_;
};

class GrantShare {
 public:
  virtual ~GrantShare() = default;

  // Grants `pages` (at least 1) fresh zeroed pages to `peer`. The result must not outlive this.
  // Errors: kLimit when the host allows no more.
  virtual Result<std::unique_ptr<SharedPages>> share(DomId peer, uint32_t pages,
                                                     Access peer_access) = 0;

  // Pages of ended shares that a peer still had mapped at last sight. On a real Xen the kernel
  // keeps them to itself and this is 0.
  [[nodiscard]] virtual size_t quarantined_pages() = 0;
};

}  // namespace splitring
