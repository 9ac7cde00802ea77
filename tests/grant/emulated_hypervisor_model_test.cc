// Random walks through the rules, compared step by step with a model that is too simple to be wrong
// in the same way: flat lists of what was granted, mapped and offered, searched in full.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <random>
#include <string>
#include <vector>

#include "grant/emulated_hypervisor.h"

namespace splitring {
namespace {

constexpr uint16_t kDomains = 4;
constexpr HypervisorLimits kLimits{.domains = kDomains,
                                   .handles_per_domain = 4,
                                   .grants_per_domain = 24,
                                   .pins_per_domain = 20,
                                   .ports_per_domain = 6};

// A life of a domain id.
struct Life {
  uint16_t id;
  int number;
  bool operator==(const Life&) const = default;
};
struct ModelHandle {
  HandleId id;
  Life domain;
};
struct ModelGrant {
  Life granter, peer;
  GrantRef ref;
  Access access;
  HandleId owner;
  ShareId share;
  bool active = true;
};
struct ModelPin {
  Life granter, mapper;
  GrantRef ref;
  HandleId owner;
  uint64_t token;
};
struct ModelPort {
  Life domain, remote;
  Port port;
  HandleId owner;
  bool is_bound = false;
  Port remote_port{};
};

class Walk {
 public:
  explicit Walk(uint64_t seed) : random_(seed) {
    for (uint16_t id = 0; id < kDomains; id++) EXPECT_TRUE(rules_.create_domain(DomId{id}));
  }

  void step() {
    switch (pick(12)) {
      case 0: open(); break;
      case 1:
        if (pick(4) == 0) close();
        break;
      case 2:
        if (pick(30) == 0) reincarnate();
        break;
      case 3:
      case 4: share(); break;
      case 5: end_share(); break;
      case 6:
      case 7: map(); break;
      case 8: unmap(); break;
      case 9: offer(); break;
      case 10: bind(); break;
      case 11: close_port(); break;
    }
    compare();
  }

 private:
  uint32_t pick(size_t count) {
    return static_cast<uint32_t>(random_() % static_cast<uint64_t>(count));
  }
  Life life(uint16_t id) const { return {id, lives_[id]}; }
  Life any_life() { return life(static_cast<uint16_t>(pick(kDomains))); }
  const ModelHandle* any_handle() {
    return handles_.empty() ? nullptr : &handles_[pick(handles_.size())];
  }
  size_t ports_of(Life domain) const {
    return static_cast<size_t>(
        std::ranges::count_if(ports_, [&](const ModelPort& p) { return p.domain == domain; }));
  }
  bool is_pinned(const ModelGrant& grant) const {
    return std::ranges::any_of(pins_, [&](const ModelPin& pin) {
      return pin.granter == grant.granter && pin.ref == grant.ref;
    });
  }
  void forget_free_grants() {
    std::erase_if(grants_, [&](const ModelGrant& g) { return !g.active && !is_pinned(g); });
  }
  DomainCounts expected(Life domain) const {
    DomainCounts counts;
    for (const auto& handle : handles_) counts.handles += handle.domain == domain;
    for (const auto& grant : grants_) {
      if (grant.granter != domain) continue;
      counts.grants += grant.active;
      counts.quarantined += !grant.active;
    }
    for (const auto& pin : pins_) counts.pins += pin.mapper == domain;
    counts.ports = static_cast<uint32_t>(ports_of(domain));
    return counts;
  }
  void compare() {
    for (uint16_t id = 0; id < kDomains; id++) {
      const DomainCounts is = rules_.counts(DomId{id}).value();
      const DomainCounts should = expected(life(id));
      ASSERT_EQ(is, should) << "domain " << id << ": pins " << is.pins << "/" << should.pins
                            << " grants " << is.grants << "/" << should.grants << " quarantined "
                            << is.quarantined << "/" << should.quarantined << " ports " << is.ports
                            << "/" << should.ports;
    }
    for (const auto& handle : handles_)
      ASSERT_EQ(rules_.quarantined(handle.id),
                std::ranges::count_if(grants_, [&](const ModelGrant& g) {
                  return g.owner == handle.id && !g.active;
                }));
  }

  void open() {
    const Life domain = any_life();
    const auto handle = rules_.open_handle(DomId{domain.id});
    ASSERT_EQ(handle.has_value(), expected(domain).handles < kLimits.handles_per_domain);
    if (handle) handles_.push_back({*handle, domain});
  }
  void forget_handle(HandleId id) {
    for (auto& grant : grants_)
      if (grant.owner == id) grant.active = false;
    std::erase_if(pins_, [&](const ModelPin& pin) { return pin.owner == id; });
    while (true) {
      const auto at = std::ranges::find(ports_, id, &ModelPort::owner);
      if (at == ports_.end()) break;
      forget_port(at);
    }
    std::erase_if(handles_, [&](const ModelHandle& handle) { return handle.id == id; });
    forget_free_grants();
  }
  void forget_port(std::vector<ModelPort>::iterator at) {
    const ModelPort gone = *at;
    ports_.erase(at);
    if (!gone.is_bound) return;
    for (auto& port : ports_)
      if (port.domain == gone.remote && port.port == gone.remote_port) port.is_bound = false;
  }
  void close() {
    const ModelHandle* handle = any_handle();
    if (handle == nullptr) return;
    const HandleId id = handle->id;
    rules_.close_handle(id);
    forget_handle(id);
  }
  void reincarnate() {
    const Life dead = any_life();
    ASSERT_TRUE(rules_.destroy_domain(DomId{dead.id}));
    std::vector<HandleId> doomed;
    for (const auto& handle : handles_)
      if (handle.domain == dead) doomed.push_back(handle.id);
    for (const HandleId id : doomed) forget_handle(id);
    lives_[dead.id]++;
    ASSERT_TRUE(rules_.create_domain(DomId{dead.id}));
  }
  void share() {
    const ModelHandle* handle = any_handle();
    if (handle == nullptr) return;
    const Life peer = any_life();
    const Access access = pick(2) == 0 ? Access::kReadOnly : Access::kReadWrite;
    std::vector<GrantRef> refs(pick(6));
    const DomainCounts before = expected(handle->domain);
    const auto share = rules_.share(handle->id, DomId{peer.id}, access, nullptr, refs);
    ASSERT_EQ(share.has_value(),
              !refs.empty() &&
                  before.grants + before.quarantined + refs.size() <= kLimits.grants_per_domain);
    if (!share) return;
    for (const GrantRef ref : refs) {
      for (const auto& grant : grants_)
        ASSERT_FALSE(grant.granter == handle->domain && grant.ref == ref)
            << "reference " << raw(ref) << " is in use or in quarantine";
      grants_.push_back({handle->domain, peer, ref, access, handle->id, *share});
    }
  }
  void end_share() {
    if (grants_.empty()) return;
    const ModelGrant grant = grants_[pick(grants_.size())];
    const ModelHandle* handle = pick(8) == 0 ? any_handle() : nullptr;
    const HandleId by = handle != nullptr ? handle->id : grant.owner;
    ASSERT_EQ(rules_.end_share(by, grant.share).has_value(), by == grant.owner && grant.active);
    if (by != grant.owner) return;
    for (auto& other : grants_)
      if (other.share == grant.share) other.active = false;
    forget_free_grants();
  }
  bool may_map(const ModelHandle& handle, Life granter, GrantRef ref, Access access) const {
    return std::ranges::any_of(grants_, [&](const ModelGrant& g) {
      return g.active && g.granter == granter && g.ref == ref && g.peer == handle.domain &&
             (access == Access::kReadOnly || g.access == Access::kReadWrite);
    });
  }
  void map() {
    const ModelHandle* handle = any_handle();
    if (handle == nullptr || grants_.empty()) return;
    const Life granter = life(grants_[pick(grants_.size())].granter.id);
    const Access access = pick(3) == 0 ? Access::kReadWrite : Access::kReadOnly;
    const uint64_t token = pick(8);
    std::vector<GrantRef> refs;
    for (uint32_t i = pick(4); i > 0; i--) {
      const ModelGrant& any = grants_[pick(grants_.size())];
      refs.push_back(pick(10) == 0 ? GrantRef{pick(40)} : any.ref);
    }
    bool good = !refs.empty() &&
                expected(handle->domain).pins + refs.size() <= kLimits.pins_per_domain &&
                std::ranges::none_of(pins_, [&](const ModelPin& pin) {
                  return pin.owner == handle->id && pin.token == token;
                });
    for (const GrantRef ref : refs) {
      const bool allowed = may_map(*handle, granter, ref, access);
      ASSERT_EQ(rules_.resolve(handle->id, DomId{granter.id}, ref, access).has_value(), allowed);
      good = good && allowed;
    }
    std::vector<GrantedPage> pages(refs.size());
    ASSERT_EQ(rules_.map(handle->id, token, DomId{granter.id}, refs, access, pages).has_value(),
              good);
    if (!good) return;
    for (const GrantRef ref : refs)
      pins_.push_back({granter, handle->domain, ref, handle->id, token});
  }
  void unmap() {
    const ModelHandle* handle = any_handle();
    if (handle == nullptr) return;
    const uint64_t token = pick(8);
    const auto erased = std::erase_if(
        pins_, [&](const ModelPin& pin) { return pin.owner == handle->id && pin.token == token; });
    ASSERT_EQ(rules_.unmap(handle->id, token).has_value(), erased > 0);
    forget_free_grants();
  }
  void offer() {
    const ModelHandle* handle = any_handle();
    if (handle == nullptr) return;
    const Life peer = any_life();
    const bool good = ports_of(handle->domain) < kLimits.ports_per_domain;
    const auto offered = rules_.offer(handle->id, DomId{peer.id}, nullptr);
    ASSERT_EQ(offered.has_value(), good);
    if (good) ports_.push_back({handle->domain, peer, offered->port, handle->id});
  }
  void bind() {
    const ModelHandle* handle = any_handle();
    if (handle == nullptr || ports_.empty()) return;
    const ModelPort target = ports_[pick(ports_.size())];
    const auto at = std::ranges::find_if(ports_, [&](const ModelPort& p) {
      return p.domain == life(target.domain.id) && p.port == target.port;
    });
    const bool good = at != ports_.end() && at->remote == handle->domain && !at->is_bound &&
                      ports_of(handle->domain) < kLimits.ports_per_domain;
    const auto bound = rules_.bind(handle->id, DomId{target.domain.id}, target.port);
    ASSERT_EQ(bound.has_value(), good);
    if (!good) return;
    at->is_bound = true;
    at->remote_port = bound->port;
    ports_.push_back({handle->domain, at->domain, bound->port, handle->id, true, at->port});
  }
  void close_port() {
    if (ports_.empty()) return;
    const auto at = ports_.begin() + pick(ports_.size());
    const ModelHandle* other = pick(8) == 0 ? any_handle() : nullptr;
    const HandleId by = other != nullptr ? other->id : at->owner;
    ASSERT_EQ(rules_.close_port(by, at->port).has_value(),
              std::ranges::any_of(
                  ports_, [&](const ModelPort& p) { return p.owner == by && p.port == at->port; }));
    if (by == at->owner) return forget_port(at);
    const auto same_number = std::ranges::find_if(
        ports_, [&](const ModelPort& p) { return p.owner == by && p.port == at->port; });
    if (same_number != ports_.end()) forget_port(same_number);
  }

  std::mt19937_64 random_;
  EmulatedHypervisor rules_{kLimits};
  std::array<int, kDomains> lives_{};
  std::vector<ModelHandle> handles_;
  std::vector<ModelGrant> grants_;
  std::vector<ModelPin> pins_;
  std::vector<ModelPort> ports_;
};

// SPLITRING_SEED repeats one walk.
TEST(HypervisorModel, RandomWalksAgreeWithTheModel) {
  constexpr int kWalks = 40;
  constexpr int kSteps = 3000;
  const char* given = std::getenv("SPLITRING_SEED");
  const uint64_t first = given != nullptr ? std::stoull(given) : std::random_device()();
  for (uint64_t seed = first; seed < first + (given != nullptr ? 1 : kWalks); seed++) {
    SCOPED_TRACE("SPLITRING_SEED=" + std::to_string(seed));
    Walk walk(seed);
    for (int i = 0; i < kSteps && !::testing::Test::HasFatalFailure(); i++) walk.step();
    if (::testing::Test::HasFatalFailure()) return;
  }
}

}  // namespace
}  // namespace splitring
