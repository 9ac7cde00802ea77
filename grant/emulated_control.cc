#include "grant/emulated_control.h"

#include <utility>

namespace splitring {
namespace {

wire::DomainRequest request(wire::Type type, DomId domain) {
  return {static_cast<uint32_t>(type), raw(domain)};
}

}  // namespace

Result<EmulatedControl> EmulatedControl::open(
    const std::filesystem::path& socket_path_of_domain_0) {
  auto connection = TRY(EmulatedConnection::open(socket_path_of_domain_0));
  return EmulatedControl(std::move(connection));
}

Result<> EmulatedControl::create_domain(DomId domain) {
  TRY_VOID(connection_.call_exactly<wire::ReplyHeader>(request(wire::Type::kCreateDomain, domain)));
  return {};
}

Result<> EmulatedControl::destroy_domain(DomId domain) {
  TRY_VOID(
      connection_.call_exactly<wire::ReplyHeader>(request(wire::Type::kDestroyDomain, domain)));
  return {};
}

Result<std::vector<DomId>> EmulatedControl::domains() {
  const wire::ListDomainsRequest list{static_cast<uint32_t>(wire::Type::kListDomains)};
  const auto frame =
      TRY(connection_.call<wire::ListDomainsReply>(std::as_bytes(std::span(&list, 1))));
  const auto items = frame.subspan(sizeof(wire::ListDomainsReply));
  const size_t count = EmulatedConnection::read<wire::ListDomainsReply>(frame).count;
  if (items.size() != count * sizeof(le32))
    return fail(Errc::kPeer, "the emulated host's list of domains makes no sense");
  std::vector<DomId> domains;
  for (size_t i = 0; i < count; i++) {
    const uint32_t id = EmulatedConnection::read<le32>(items.subspan(i * sizeof(le32)));
    domains.push_back(DomId{static_cast<uint16_t>(id)});
  }
  return domains;
}

Result<DomainCounts> EmulatedControl::counts(DomId domain) {
  const auto reply =
      TRY(connection_.call_exactly<wire::CountsReply>(request(wire::Type::kCounts, domain)));
  return DomainCounts{.handles = reply.handles,
                      .grants = reply.grants,
                      .quarantined = reply.quarantined,
                      .pins = reply.pins,
                      .ports = reply.ports};
}

}  // namespace splitring
