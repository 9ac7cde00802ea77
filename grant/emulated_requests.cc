#include "grant/emulated_requests.h"

#include <sys/eventfd.h>

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <cstring>
#include <optional>
#include <string>
#include <utility>

#include "grant/emulated_pages.h"

namespace splitring {
namespace {

struct MemfdPages final : PageSource {
  explicit MemfdPages(UniqueFd owned) : fd(std::move(owned)) {}
  UniqueFd fd;  // read-only if the grant is
};

// incoming[side] is what that side waits on and the other rings. A descriptor cannot be taken back
// from a process, so a new binder of a port shares the doorbells with the one before: both spoke
// for the same domain.
struct EventfdWire final : EventWire {
  std::array<UniqueFd, 2> incoming;
};

Error malformed(const char* what) { return {Errc::kPeer, what}; }

uint32_t to_integer(le32 value) { return value; }
uint64_t to_integer(le64 value) { return value; }

template <class T>
Result<T> read_prefix(std::span<const std::byte> frame) {
  T request;
  if (frame.size() < sizeof request) return tl::unexpected(malformed("a request is too short"));
  std::memcpy(&request, frame.data(), sizeof request);
  return request;
}

template <class T>
Result<T> read_exactly(std::span<const std::byte> frame) {
  if (frame.size() != sizeof(T)) return tl::unexpected(malformed("a request of the wrong size"));
  return read_prefix<T>(frame);
}

// The items behind a Head that says how many there are.
template <class Item, class Head>
Result<std::vector<Item>> read_items(std::span<const std::byte> frame, const Head& head) {
  const size_t count = head.count;
  if (count == 0 || count > wire::kMaxRefsPerMessage ||
      frame.size() != sizeof head + count * sizeof(Item))
    return tl::unexpected(malformed("a request whose count and size disagree"));
  std::vector<Item> items(count);
  std::memcpy(items.data(), frame.data() + sizeof head, count * sizeof(Item));
  return items;
}

Result<DomId> to_domain(uint32_t value) {
  if (value >= kFirstReservedDomId)
    return fail(Errc::kInvalid, std::to_string(value) + " is not a usable domain number");
  return DomId{static_cast<uint16_t>(value)};
}

Result<Access> to_access(uint32_t value) {
  switch (wire::WireAccess{value}) {
    case wire::WireAccess::kReadOnly: return Access::kReadOnly;
    case wire::WireAccess::kReadWrite: return Access::kReadWrite;
  }
  return tl::unexpected(malformed("a request with an unknown access"));
}

Result<std::shared_ptr<EventfdWire>> make_wire() {
  auto wire = std::make_shared<EventfdWire>();
  for (UniqueFd& fd : wire->incoming) {
    fd.reset(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
    if (!fd) return fail_errno("making an event channel", errno);
  }
  return wire;
}

}  // namespace

// ---- replies
// -------------------------------------------------------------------------------------

void HypervisorReply::clear() {
  size_ = 0;
  descriptors_.clear();
  pages_.clear();
  wire_.reset();
}

template <class T>
void HypervisorReply::put(const T& item) {
  assert(size_ + sizeof item <= frame_.size());
  std::memcpy(frame_.data() + size_, &item, sizeof item);
  size_ += sizeof item;
}

void HypervisorReply::refuse(const Error& error) {
  clear();
  put(wire::ReplyHeader{1 + static_cast<uint32_t>(error.code)});
  const size_t length = std::min(error.what.size(), wire::kMaxErrorText);
  std::memcpy(frame_.data() + size_, error.what.data(), length);
  size_ += length;
}

void HypervisorReply::put_pages(std::vector<GrantedPage> pages) {
  pages_ = std::move(pages);
  std::vector<wire::MappedPage> entries(pages_.size());
  for (size_t i = 0; i < pages_.size(); i++) {
    const auto* source = static_cast<const MemfdPages*>(pages_[i].source.get());
    if (source == nullptr) {
      entries[i] = {wire::kRefused, 0};
      continue;
    }
    // Backwards: pages of one share mostly come together.
    const int fd = source->fd.get();
    const auto known = std::find(descriptors_.rbegin(), descriptors_.rend(), fd);
    const auto index = known == descriptors_.rend()
                           ? descriptors_.size()
                           : static_cast<size_t>(descriptors_.rend() - known) - 1;
    if (index == descriptors_.size()) descriptors_.push_back(fd);
    entries[i] = {static_cast<uint32_t>(index), pages_[i].index};
  }
  put(wire::MapReply{{}, static_cast<uint32_t>(descriptors_.size())});
  for (const wire::MappedPage& entry : entries) put(entry);
}

void HypervisorReply::put_port(const BoundPort& bound) {
  wire_ = bound.wire;
  const auto& wire = static_cast<const EventfdWire&>(*wire_);
  descriptors_ = {wire.incoming[bound.side].get(), wire.incoming[1 - bound.side].get()};
  put(wire::PortReply{{}, raw(bound.port)});
}

// ---- requests
// ------------------------------------------------------------------------------------

Result<> HypervisorRequests::handle(Client& client, Frame frame, std::span<UniqueFd> descriptors,
                                    HypervisorReply& reply) {
  reply.clear();
  const auto type = TRY(read_prefix<le32>(frame));
  const bool takes_descriptor = type == static_cast<uint32_t>(wire::Type::kShare);
  if (descriptors.size() != (takes_descriptor ? 1u : 0u))
    return tl::unexpected(malformed("a request with the wrong number of descriptors"));
  if (client.has_said_hello == (type == static_cast<uint32_t>(wire::Type::kHello)))
    return tl::unexpected(malformed("a connection begins with one hello"));
  auto outcome = client.has_said_hello ? dispatch(client, frame, descriptors, reply)
                                       : hello(client, frame, reply);
  if (outcome || outcome.error().code == Errc::kPeer) return outcome;
  reply.refuse(outcome.error());
  return {};
}

Result<> HypervisorRequests::dispatch(const Client& client, Frame frame,
                                      std::span<UniqueFd> descriptors, HypervisorReply& reply) {
  const auto type = TRY(read_prefix<le32>(frame));
  switch (wire::Type{to_integer(type)}) {
    case wire::Type::kHello: break;
    case wire::Type::kShare: return share(client, frame, descriptors, reply);
    case wire::Type::kEndShare: return end_share(client, frame, reply);
    case wire::Type::kQuarantined: return quarantined(client, frame, reply);
    case wire::Type::kMap: return map(client, frame, reply);
    case wire::Type::kUnmap: return unmap(client, frame, reply);
    case wire::Type::kResolve: return resolve(client, frame, reply);
    case wire::Type::kOffer: return offer(client, frame, reply);
    case wire::Type::kBind: return bind(client, frame, reply);
    case wire::Type::kClosePort: return close_port(client, frame, reply);
    case wire::Type::kListDomains: return list_domains(client, frame, reply);
    case wire::Type::kCreateDomain:
    case wire::Type::kDestroyDomain: return change_domain(client, frame, reply);
    case wire::Type::kCounts: return counts(client, frame, reply);
  }
  return tl::unexpected(malformed("a request of unknown type"));
}

Result<> HypervisorRequests::hello(Client& client, Frame frame, HypervisorReply& reply) {
  const auto request = TRY(read_exactly<wire::HelloRequest>(frame));
  if (request.magic != wire::kMagic) return tl::unexpected(malformed("not our protocol"));
  if (request.version != wire::kVersion)
    return fail(Errc::kUnsupported,
                "the emulated host speaks version " + std::to_string(wire::kVersion) +
                    " of its protocol, the client " + std::to_string(request.version));
  client.has_said_hello = true;
  reply.put(wire::HelloReply{{}, wire::kVersion, raw(client.domain)});
  return {};
}

Result<> HypervisorRequests::share(const Client& client, Frame frame,
                                   std::span<UniqueFd> descriptors, HypervisorReply& reply) {
  const auto request = TRY(read_exactly<wire::ShareRequest>(frame));
  const Access access = TRY(to_access(request.access));
  const uint32_t pages = request.pages;
  if (pages == 0 || pages > wire::kMaxPagesPerShare)
    return tl::unexpected(malformed("a share of too many pages"));
  TRY_VOID(check_shared_memory(descriptors[0].get(), pages, access));
  const DomId peer = TRY(to_domain(request.peer));
  UniqueFd fd = access == Access::kReadOnly ? TRY(reopen_read_only(descriptors[0].get()))
                                            : std::move(descriptors[0]);
  std::vector<GrantRef> refs(pages);
  const ShareId id = TRY(
      rules_.share(client.handle, peer, access, std::make_shared<MemfdPages>(std::move(fd)), refs));
  reply.put(wire::ShareReply{{}, {}, static_cast<uint64_t>(id)});
  for (const GrantRef ref : refs) reply.put(le32(raw(ref)));
  return {};
}

Result<> HypervisorRequests::end_share(const Client& client, Frame frame, HypervisorReply& reply) {
  const auto request = TRY(read_exactly<wire::EndShareRequest>(frame));
  TRY_VOID(rules_.end_share(client.handle, ShareId{to_integer(request.share)}));
  reply.put(wire::ReplyHeader{});
  return {};
}

Result<> HypervisorRequests::quarantined(const Client& client, Frame frame,
                                         HypervisorReply& reply) {
  TRY_VOID(read_exactly<wire::QuarantinedRequest>(frame));
  reply.put(wire::QuarantinedReply{{}, rules_.quarantined(client.handle)});
  return {};
}

Result<> HypervisorRequests::map(const Client& client, Frame frame, HypervisorReply& reply) {
  const auto request = TRY(read_prefix<wire::MapRequest>(frame));
  const auto items = TRY(read_items<le32>(frame, request));
  const Access access = TRY(to_access(request.access));
  const DomId granter = TRY(to_domain(request.granter));
  std::vector<GrantRef> refs;
  refs.reserve(items.size());
  for (const uint32_t item : items) refs.push_back(GrantRef{item});
  std::vector<GrantedPage> pages(refs.size());
  TRY_VOID(rules_.map(client.handle, request.token, granter, refs, access, pages));
  reply.put_pages(std::move(pages));
  return {};
}

Result<> HypervisorRequests::unmap(const Client& client, Frame frame, HypervisorReply& reply) {
  const auto request = TRY(read_exactly<wire::UnmapRequest>(frame));
  TRY_VOID(rules_.unmap(client.handle, request.token));
  reply.put(wire::ReplyHeader{});
  return {};
}

// For copies: a refused page says nothing about the others.
Result<> HypervisorRequests::resolve(const Client& client, Frame frame, HypervisorReply& reply) {
  const auto request = TRY(read_prefix<wire::ResolveRequest>(frame));
  const auto items = TRY(read_items<wire::ResolveItem>(frame, request));
  const DomId granter = TRY(to_domain(request.granter));
  std::vector<GrantedPage> pages(items.size());
  for (size_t i = 0; i < items.size(); i++) {
    const Access access = TRY(to_access(items[i].access));
    auto page = rules_.resolve(client.handle, granter, GrantRef{to_integer(items[i].ref)}, access);
    if (page) pages[i] = *std::move(page);
  }
  reply.put_pages(std::move(pages));
  return {};
}

Result<> HypervisorRequests::offer(const Client& client, Frame frame, HypervisorReply& reply) {
  const auto request = TRY(read_exactly<wire::OfferRequest>(frame));
  const DomId peer = TRY(to_domain(request.peer));
  auto wire = TRY(make_wire());
  reply.put_port(TRY(rules_.offer(client.handle, peer, std::move(wire))));
  return {};
}

Result<> HypervisorRequests::bind(const Client& client, Frame frame, HypervisorReply& reply) {
  const auto request = TRY(read_exactly<wire::BindRequest>(frame));
  const DomId peer = TRY(to_domain(request.peer));
  reply.put_port(TRY(rules_.bind(client.handle, peer, Port{to_integer(request.remote_port)})));
  return {};
}

Result<> HypervisorRequests::close_port(const Client& client, Frame frame, HypervisorReply& reply) {
  const auto request = TRY(read_exactly<wire::ClosePortRequest>(frame));
  TRY_VOID(rules_.close_port(client.handle, Port{to_integer(request.port)}));
  reply.put(wire::ReplyHeader{});
  return {};
}

// ---- domain 0 only
// -------------------------------------------------------------------------------

namespace {

Result<> check_control(DomId client) {
  if (client == DomId{0}) return {};
  return fail(Errc::kPermission, "only domain 0 may ask about other domains");
}

}  // namespace

Result<> HypervisorRequests::list_domains(const Client& client, Frame frame,
                                          HypervisorReply& reply) {
  TRY_VOID(read_exactly<wire::ListDomainsRequest>(frame));
  TRY_VOID(check_control(client.domain));
  const std::vector<DomId> domains = rules_.domains();
  assert(domains.size() <= wire::kMaxDomains);
  reply.put(wire::ListDomainsReply{{}, static_cast<uint32_t>(domains.size())});
  for (const DomId domain : domains) reply.put(le32(raw(domain)));
  return {};
}

Result<> HypervisorRequests::change_domain(const Client& client, Frame frame,
                                           HypervisorReply& reply) {
  const auto request = TRY(read_exactly<wire::DomainRequest>(frame));
  TRY_VOID(check_control(client.domain));
  const DomId domain = TRY(to_domain(request.domain));
  if (domain == DomId{0}) return fail(Errc::kInvalid, "domain 0 lives as long as its host");
  const bool create = request.type == static_cast<uint32_t>(wire::Type::kCreateDomain);
  const auto& change = create ? control_.create : control_.destroy;
  if (!change) return fail(Errc::kUnsupported, "this host's domains are fixed");
  TRY_VOID(change(domain));
  reply.put(wire::ReplyHeader{});
  return {};
}

Result<> HypervisorRequests::counts(const Client& client, Frame frame, HypervisorReply& reply) {
  const auto request = TRY(read_exactly<wire::DomainRequest>(frame));
  TRY_VOID(check_control(client.domain));
  const DomId domain = TRY(to_domain(request.domain));
  const DomainCounts counts = TRY(rules_.counts(domain));
  reply.put(wire::CountsReply{
      {}, counts.handles, counts.grants, counts.quarantined, counts.pins, counts.ports});
  return {};
}

}  // namespace splitring
