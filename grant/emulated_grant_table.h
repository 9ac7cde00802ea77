// GrantTable of the emulated host: maps the sealed memfds that the hypervisor's server hands out.
//
// A map of n pages costs one round trip for each 248 pages, and one mmap for each run of pages that
// lie together in one share. A copy costs one round trip for each 248 pieces and a read or write
// for each; it pins nothing, since a share's memory is never used for anything else once ended.
#pragma once

#include <filesystem>
#include <memory>

#include "grant/emulated_connection.h"
#include "grant/grant_table.h"

namespace splitring {

class EmulatedGrantTable final : public GrantTable {
 public:
  static Result<std::unique_ptr<EmulatedGrantTable>> open(const std::filesystem::path& socket_path);

  Result<Mapping> map(DomId peer, std::span<const GrantRef> refs, Access access) override;
  Result<> copy(DomId peer, std::span<GrantCopy> pieces) override;

 private:
  explicit EmulatedGrantTable(EmulatedConnection connection) : connection_(std::move(connection)) {}
  void unmap(std::span<std::byte> bytes) noexcept override;
  Result<> map_batch(DomId peer, std::span<const GrantRef> refs, Access access, std::byte* base);
  Result<> place(std::span<const wire::MappedPage> pages, Access access, std::byte* base);
  void unpin_batches(std::byte* base, size_t pages) noexcept;
  Result<> copy_batch(DomId peer, std::span<GrantCopy*> pieces);

  EmulatedConnection connection_;
};

}  // namespace splitring
