#include "grant/emulated_grant_share.h"

#include <sys/mman.h>

#include <string>
#include <utility>
#include <vector>

#include "grant/emulated_pages.h"

namespace splitring {

class EmulatedGrantShare::Pages final : public SharedPages {
 public:
  Pages(EmulatedConnection& connection, std::span<std::byte> bytes) : connection_(connection) {
    bytes_ = bytes;
  }
  ~Pages() override {
    ::munmap(bytes_.data(), bytes_.size());
    // If the host has stopped, so have the grants.
    if (!refs_.empty())
      (void)connection_.call_exactly<wire::ReplyHeader>(
          wire::EndShareRequest{static_cast<uint32_t>(wire::Type::kEndShare), {}, share_});
  }

  void granted(uint64_t share, std::vector<GrantRef> refs) {
    share_ = share;
    owned_refs_ = std::move(refs);
    refs_ = owned_refs_;
  }

 private:
  EmulatedConnection& connection_;
  uint64_t share_ = 0;
  std::vector<GrantRef> owned_refs_;
};

Result<std::unique_ptr<EmulatedGrantShare>> EmulatedGrantShare::open(
    const std::filesystem::path& socket_path) {
  TRY_VOID(check_page_size());
  auto connection = TRY(EmulatedConnection::open(socket_path));
  return std::unique_ptr<EmulatedGrantShare>(new EmulatedGrantShare(std::move(connection)));
}

Result<std::unique_ptr<SharedPages>> EmulatedGrantShare::share(DomId peer, uint32_t pages,
                                                               Access peer_access) {
  if (pages == 0) return fail(Errc::kInvalid, "a share of no pages");
  if (pages > wire::kMaxPagesPerShare)
    return fail(Errc::kLimit, "a share has at most " + std::to_string(wire::kMaxPagesPerShare) +
                                  " pages, not " + std::to_string(pages));
  SharedMemory memory = TRY(make_shared_memory(pages, peer_access));
  auto shared = std::make_unique<Pages>(connection_, memory.bytes);
  const wire::ShareRequest request{
      static_cast<uint32_t>(wire::Type::kShare), raw(peer),
      static_cast<uint32_t>(peer_access == Access::kReadOnly ? wire::WireAccess::kReadOnly
                                                             : wire::WireAccess::kReadWrite),
      pages};
  const auto frame = TRY(connection_.call<wire::ShareReply>(std::as_bytes(std::span(&request, 1)),
                                                            memory.descriptor.get()));
  const auto items = frame.subspan(sizeof(wire::ShareReply));
  if (items.size() != pages * sizeof(le32))
    return fail(Errc::kPeer, "the emulated host's answer to a share makes no sense");
  std::vector<GrantRef> refs(pages);
  for (size_t i = 0; i < pages; i++)
    refs[i] = GrantRef{uint32_t{EmulatedConnection::read<le32>(items.subspan(i * sizeof(le32)))}};
  shared->granted(EmulatedConnection::read<wire::ShareReply>(frame).share, std::move(refs));
  return shared;
}

size_t EmulatedGrantShare::quarantined_pages() {
  const auto reply = connection_.call_exactly<wire::QuarantinedReply>(
      wire::QuarantinedRequest{static_cast<uint32_t>(wire::Type::kQuarantined)});
  return reply ? uint32_t{reply->pages} : 0;
}

}  // namespace splitring
