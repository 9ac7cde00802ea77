#include "grant/emulated_hypervisor.h"

#include <cassert>
#include <deque>
#include <set>
#include <string>
#include <utility>

namespace splitring {
namespace {

constexpr uint32_t kFirstRef = 8;    // grant_table.h: GNTTAB_NR_RESERVED_ENTRIES
constexpr uint32_t kPorts = 131072;  // event_channel.h: EVTCHN_FIFO_NR_CHANNELS; 0 is never used
constexpr uint64_t kNoHandle = 0;
// xen/common/grant_table.c: 8 bits count the mappings, and the highest says that it is enough.
constexpr uint32_t kMaxPinsOfGrant = 128;

std::string name(DomId id) { return "domain " + std::to_string(raw(id)); }

}  // namespace

struct EmulatedHypervisor::Grant {
  enum class State : uint8_t { kFree, kActive, kQuarantined };
  State state = State::kFree;
  Access access = Access::kReadOnly;
  uint32_t page = 0;
  uint32_t pins = 0;
  HandleId owner{kNoHandle};
  std::weak_ptr<Domain> peer;  // the very domain it was granted to, not its successor
  std::shared_ptr<PageSource> source;
};

struct EmulatedHypervisor::Channel {
  HandleId owner{kNoHandle};
  std::weak_ptr<Domain> remote;  // that may bind this port, or has bound it
  std::shared_ptr<EventWire> wire;
  uint32_t side = 0;
  bool is_bound = false;
  Port remote_port{};  // if is_bound
};

struct EmulatedHypervisor::Domain {
  DomId id{};
  DomainCounts counts;
  std::vector<Grant> grants;       // by reference, from kFirstRef
  std::deque<GrantRef> free_refs;  // first in, first out: a stale reference fails for long
  std::map<Port, Channel> channels;
  uint32_t last_port = 0;

  Grant* find(GrantRef ref) {
    const uint64_t index = uint64_t{raw(ref)} - kFirstRef;  // wraps to far too much below it
    return index < grants.size() ? &grants[index] : nullptr;
  }

  // Precondition: the domain is within its limit.
  GrantRef take_ref() {
    if (free_refs.empty()) {
      grants.emplace_back();
      return GrantRef{static_cast<uint32_t>(grants.size() - 1) + kFirstRef};
    }
    const GrantRef ref = free_refs.front();
    free_refs.pop_front();
    return ref;
  }

  void free_ref(GrantRef ref) {
    *find(ref) = Grant{};
    free_refs.push_back(ref);
  }

  void end(std::span<const GrantRef> refs) {
    for (const GrantRef ref : refs) {
      Grant& grant = *find(ref);
      assert(grant.state == Grant::State::kActive);
      counts.grants--;
      if (grant.pins == 0) {
        free_ref(ref);
        continue;
      }
      grant.state = Grant::State::kQuarantined;
      grant.source.reset();  // the mapper's own mapping keeps the page
      counts.quarantined++;
    }
  }

  // `mapper` gives back one pin on each.
  void unpin(Domain& mapper, std::span<const GrantRef> refs) {
    for (const GrantRef ref : refs) {
      Grant& grant = *find(ref);
      assert(grant.pins > 0);
      grant.pins--;
      mapper.counts.pins--;
      if (grant.pins > 0 || grant.state != Grant::State::kQuarantined) continue;
      counts.quarantined--;
      free_ref(ref);
    }
  }

  // Why `asker` may not reach the page, or nothing.
  Result<Grant*> check(const Domain& asker, GrantRef ref, Access access) {
    Grant* grant = find(ref);
    const auto refuse = [&](const char* why) {
      return fail(Errc::kInvalid, "grant " + std::to_string(raw(ref)) + " of " + name(id) + why);
    };
    if (grant == nullptr || grant->state != Grant::State::kActive ||
        grant->peer.lock().get() != &asker)
      return refuse(" is not granted to us");
    if (access == Access::kReadWrite && grant->access == Access::kReadOnly)
      return refuse(" is granted read-only");
    return grant;
  }

  // Precondition: the domain is within its limit, which is far below kPorts.
  Port add(Channel channel) {
    do last_port = last_port % (kPorts - 1) + 1;
    while (channels.contains(Port{last_port}));
    channels.emplace(Port{last_port}, std::move(channel));
    counts.ports++;
    return Port{last_port};
  }

  // The other end becomes unbound, with this domain as the one that may bind it.
  void close(Port port) {
    const auto at = channels.find(port);
    const Channel channel = std::move(at->second);
    channels.erase(at);
    counts.ports--;
    const auto remote = channel.is_bound ? channel.remote.lock() : nullptr;
    if (remote == nullptr) return;
    const auto other = remote->channels.find(channel.remote_port);
    assert(other != remote->channels.end());
    other->second.is_bound = false;
  }
};

struct EmulatedHypervisor::Handle {
  struct Batch {
    std::shared_ptr<Domain> granter;  // keeps a dead domain's table while a page of it is pinned
    std::vector<GrantRef> refs;
  };
  std::shared_ptr<Domain> domain;
  std::map<ShareId, std::vector<GrantRef>> shares;
  std::unordered_map<uint64_t, Batch> batches;  // by token
  std::set<Port> ports;
};

EmulatedHypervisor::EmulatedHypervisor(const HypervisorLimits& limits) : limits_(limits) {
  assert(limits.ports_per_domain < kPorts / 2);
}
EmulatedHypervisor::~EmulatedHypervisor() = default;

// ---- domains
// -------------------------------------------------------------------------------------

Result<> EmulatedHypervisor::create_domain(DomId id) {
  if (raw(id) >= kFirstReservedDomId)
    return fail(Errc::kInvalid, std::to_string(raw(id)) + " is not a usable domain number");
  if (exists(id)) return fail(Errc::kExists, name(id) + " exists already");
  if (domains_.size() >= limits_.domains) return fail(Errc::kLimit, "too many domains");
  auto domain = std::make_shared<Domain>();
  domain->id = id;
  domains_.emplace(id, std::move(domain));
  return {};
}

Result<> EmulatedHypervisor::destroy_domain(DomId id) {
  const auto domain = TRY(find_domain(id));
  std::vector<HandleId> doomed;
  for (const auto& [handle_id, handle] : handles_)
    if (handle->domain == domain) doomed.push_back(handle_id);
  for (const HandleId handle_id : doomed) close_handle(handle_id);
  assert(domain->counts.handles == 0 && domain->counts.grants == 0 && domain->counts.pins == 0 &&
         domain->counts.ports == 0);
  domains_.erase(id);
  return {};
}

std::vector<DomId> EmulatedHypervisor::domains() const {
  std::vector<DomId> ids;
  ids.reserve(domains_.size());
  for (const auto& [id, domain] : domains_) ids.push_back(id);
  return ids;
}

Result<DomainCounts> EmulatedHypervisor::counts(DomId id) const {
  const auto domain = TRY(find_domain(id));
  return domain->counts;
}

Result<std::shared_ptr<EmulatedHypervisor::Domain>> EmulatedHypervisor::find_domain(
    DomId id) const {
  const auto at = domains_.find(id);
  if (at == domains_.end()) return fail(Errc::kNotFound, name(id) + " does not exist");
  return at->second;
}

// ---- handles
// -------------------------------------------------------------------------------------

Result<HandleId> EmulatedHypervisor::open_handle(DomId id) {
  auto domain = TRY(find_domain(id));
  if (domain->counts.handles >= limits_.handles_per_domain)
    return fail(Errc::kLimit, name(id) + " has too many open handles");
  domain->counts.handles++;
  const HandleId handle{next_handle_++};
  handles_.emplace(handle, std::make_unique<Handle>()).first->second->domain = std::move(domain);
  return handle;
}

void EmulatedHypervisor::close_handle(HandleId handle) {
  const auto at = handles_.find(handle);
  if (at == handles_.end()) return;
  release_contents(*at->second);
  at->second->domain->counts.handles--;
  handles_.erase(at);
}

void EmulatedHypervisor::release_contents(Handle& handle) {
  for (const Port port : handle.ports) handle.domain->close(port);
  for (const auto& [token, batch] : handle.batches)
    batch.granter->unpin(*handle.domain, batch.refs);
  for (const auto& [id, refs] : handle.shares) handle.domain->end(refs);
}

Result<EmulatedHypervisor::Handle*> EmulatedHypervisor::find_handle(HandleId handle) const {
  const auto at = handles_.find(handle);
  if (at == handles_.end()) return fail(Errc::kClosed, "the domain has been destroyed");
  return at->second.get();
}

// ---- grants
// --------------------------------------------------------------------------------------

// Quarantined pages count: a guest's gntalloc frees a page only when the peer has unmapped it.
Result<> EmulatedHypervisor::check_share(const Domain& domain, size_t pages) const {
  if (pages == 0) return fail(Errc::kInvalid, "a share of no pages");
  const uint64_t used = uint64_t{domain.counts.grants} + domain.counts.quarantined;
  if (pages > limits_.grants_per_domain - used)
    return fail(Errc::kLimit, name(domain.id) + " may share " +
                                  std::to_string(limits_.grants_per_domain) + " pages, and " +
                                  std::to_string(used) + " are in use");
  return {};
}

Result<ShareId> EmulatedHypervisor::share(HandleId handle_id, DomId peer, Access peer_access,
                                          const std::shared_ptr<PageSource>& source,
                                          std::span<GrantRef> refs) {
  Handle* handle = TRY(find_handle(handle_id));
  const auto peer_domain = TRY(find_domain(peer));
  Domain& domain = *handle->domain;
  TRY_VOID(check_share(domain, refs.size()));
  for (size_t i = 0; i < refs.size(); i++) {
    refs[i] = domain.take_ref();
    *domain.find(refs[i]) = Grant{.state = Grant::State::kActive,
                                  .access = peer_access,
                                  .page = static_cast<uint32_t>(i),
                                  .pins = 0,
                                  .owner = handle_id,
                                  .peer = peer_domain,
                                  .source = source};
  }
  domain.counts.grants += static_cast<uint32_t>(refs.size());
  const ShareId id{next_share_++};
  handle->shares.emplace(id, std::vector<GrantRef>(refs.begin(), refs.end()));
  return id;
}

Result<> EmulatedHypervisor::end_share(HandleId handle_id, ShareId share) {
  Handle* handle = TRY(find_handle(handle_id));
  const auto at = handle->shares.find(share);
  if (at == handle->shares.end()) return fail(Errc::kInvalid, "no such share");
  handle->domain->end(at->second);
  handle->shares.erase(at);
  return {};
}

uint32_t EmulatedHypervisor::quarantined(HandleId handle_id) const {
  const auto at = handles_.find(handle_id);
  if (at == handles_.end()) return 0;
  uint32_t pages = 0;
  for (const Grant& grant : at->second->domain->grants)
    if (grant.state == Grant::State::kQuarantined && grant.owner == handle_id) pages++;
  return pages;
}

Result<GrantedPage> EmulatedHypervisor::resolve(HandleId handle_id, DomId granter, GrantRef ref,
                                                Access access) const {
  const Handle* handle = TRY(find_handle(handle_id));
  const auto domain = TRY(find_domain(granter));
  const Grant* grant = TRY(domain->check(*handle->domain, ref, access));
  return GrantedPage{grant->source, grant->page};
}

Result<> EmulatedHypervisor::map(HandleId handle_id, uint64_t token, DomId granter,
                                 std::span<const GrantRef> refs, Access access,
                                 std::span<GrantedPage> pages) {
  assert(pages.size() == refs.size());
  Handle* handle = TRY(find_handle(handle_id));
  auto domain = TRY(find_domain(granter));
  if (refs.empty()) return fail(Errc::kInvalid, "a map of no pages");
  if (handle->batches.contains(token)) return fail(Errc::kExists, "this token is in use");
  Domain& mapper = *handle->domain;
  if (refs.size() > limits_.pins_per_domain - mapper.counts.pins)
    return fail(Errc::kLimit, name(mapper.id) + " has too many pages mapped");
  // First all the checks, then all the pins: a refused batch has nothing to take back.
  for (size_t i = 0; i < refs.size(); i++) {
    const Grant* grant = TRY(domain->check(mapper, refs[i], access));
    pages[i] = {grant->source, grant->page};
  }
  size_t pinned = 0;
  while (pinned < refs.size() && domain->find(refs[pinned])->pins < kMaxPinsOfGrant)
    domain->find(refs[pinned++])->pins++;
  if (pinned != refs.size()) {
    while (pinned != 0) domain->find(refs[--pinned])->pins--;
    return fail(Errc::kLimit, "a grant of " + name(granter) + " is mapped too often");
  }
  mapper.counts.pins += static_cast<uint32_t>(refs.size());
  handle->batches.emplace(
      token, Handle::Batch{std::move(domain), std::vector<GrantRef>(refs.begin(), refs.end())});
  return {};
}

Result<> EmulatedHypervisor::unmap(HandleId handle_id, uint64_t token) {
  Handle* handle = TRY(find_handle(handle_id));
  const auto at = handle->batches.find(token);
  if (at == handle->batches.end()) return fail(Errc::kInvalid, "nothing is mapped there");
  at->second.granter->unpin(*handle->domain, at->second.refs);
  handle->batches.erase(at);
  return {};
}

// ---- event channels
// ------------------------------------------------------------------------------

Result<BoundPort> EmulatedHypervisor::offer(HandleId handle_id, DomId peer,
                                            std::shared_ptr<EventWire> wire) {
  Handle* handle = TRY(find_handle(handle_id));
  const auto remote = TRY(find_domain(peer));
  Domain& domain = *handle->domain;
  if (domain.counts.ports >= limits_.ports_per_domain)
    return fail(Errc::kLimit, name(domain.id) + " has too many ports");
  const Port port =
      domain.add(Channel{.owner = handle_id, .remote = remote, .wire = wire, .side = 0});
  handle->ports.insert(port);
  return BoundPort{port, std::move(wire), 0};
}

Result<BoundPort> EmulatedHypervisor::bind(HandleId handle_id, DomId peer, Port remote_port) {
  Handle* handle = TRY(find_handle(handle_id));
  const auto remote = TRY(find_domain(peer));
  Domain& domain = *handle->domain;
  const auto at = remote->channels.find(remote_port);
  const auto refuse = [&](const char* why) {
    return fail(Errc::kInvalid,
                "port " + std::to_string(raw(remote_port)) + " of " + name(peer) + why);
  };
  if (at == remote->channels.end() || at->second.remote.lock() != handle->domain)
    return refuse(" is not offered to us");
  if (at->second.is_bound) return refuse(" is bound already");
  if (domain.counts.ports >= limits_.ports_per_domain)
    return fail(Errc::kLimit, name(domain.id) + " has too many ports");
  Channel& other = at->second;  // add() leaves it where it is: a map's nodes do not move
  const uint32_t side = 1 - other.side;
  const Port port = domain.add(Channel{.owner = handle_id,
                                       .remote = remote,
                                       .wire = other.wire,
                                       .side = side,
                                       .is_bound = true,
                                       .remote_port = remote_port});
  handle->ports.insert(port);
  other.is_bound = true;
  other.remote_port = port;
  return BoundPort{port, other.wire, side};
}

Result<> EmulatedHypervisor::close_port(HandleId handle_id, Port port) {
  Handle* handle = TRY(find_handle(handle_id));
  if (handle->ports.erase(port) == 0) return fail(Errc::kInvalid, "not a port of this handle");
  handle->domain->close(port);
  return {};
}

}  // namespace splitring
