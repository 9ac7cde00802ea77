// xenstore as a client sees it: the part of it that split drivers and toolstacks need.
//
// A Store is one connection with one owner thread; it blocks while the server answers. Paths are
// absolute ("/local/domain/3/...") or relative to the domain's own directory. Values are bytes
// without NUL. What another domain wrote is hostile until parsed (xenbus/nodes.h).
//
// Source: Xen's docs/misc/xenstore.txt and tools/include/xenstore.h (4.17).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "grant/types.h"

namespace splitring {

// One entry of a node's permission list. The first entry names the owner and what everyone not
// listed may do; the others add to that.
struct StorePermission {
  enum class Rights : char { kNone = 'n', kRead = 'r', kWrite = 'w', kBoth = 'b' };
  DomId domain;
  Rights rights;
  bool operator==(const StorePermission&) const = default;
};

// Reads and writes, directly or within a transaction.
// Errors: kNotFound, kPermission, kInvalid (path or value), kLimit (quota), kClosed.
class StoreView {
 public:
  virtual ~StoreView() = default;
  virtual Result<std::string> read(const std::string& path) = 0;
  virtual Result<std::vector<std::string>> list(const std::string& path) = 0;
  // Makes missing parents; they inherit the nearest existing ancestor's permissions.
  virtual Result<> write(const std::string& path, std::string_view value) = 0;
  virtual Result<> make_directory(const std::string& path) = 0;
  // Removes the whole subtree. kNotFound only if the parent is missing too.
  virtual Result<> remove(const std::string& path) = 0;
  virtual Result<std::vector<StorePermission>> permissions(const std::string& path) = 0;
  virtual Result<> set_permissions(const std::string& path,
                                   const std::vector<StorePermission>& permissions) = 0;
};

struct StoreEvent {
  std::string path;   // what changed: at or below the watched path
  std::string token;  // given when watching
};

class Store {
 public:
  virtual ~Store() = default;

  virtual StoreView& now() = 0;

  // Runs `body` in a transaction and commits; runs it again after a conflict (bounded, with
  // back-off: X4), so it must have no other side effects. An error from body aborts.
  virtual Result<> transact(const std::function<Result<>(StoreView&)>& body) = 0;

  // Fires once immediately, then after each change at or below `path`. Besides paths:
  // "@introduceDomain" and "@releaseDomain". Identical pending events are merged.
  virtual Result<> watch(const std::string& path, const std::string& token) = 0;
  virtual Result<> unwatch(const std::string& path, const std::string& token) = 0;

  // Readable when next_event() has something. Poll it; do not read it.
  [[nodiscard]] virtual int fd() const = 0;
  // Never blocks.
  virtual std::optional<StoreEvent> next_event() = 0;

  // "/local/domain/<domid>", of any domain.
  virtual Result<std::string> domain_path(DomId domain) = 0;
  // False once a domain is dead or was never there. Only domain 0 may ask; kPermission to others.
  virtual Result<bool> is_introduced(DomId domain) = 0;
};

}  // namespace splitring
