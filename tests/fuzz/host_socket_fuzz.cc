// The emulated hypervisor without its sockets, driven by clients of three domains. The input is a
// list of steps: a byte that chooses a client, a byte that chooses what it sends, then its bytes:
// half of the steps are frames of the right size with small numbers in them, so that much of what
// is asked for exists, the other half anything at all.
//
// After every step no domain is over its limits; after the last client has left nothing is held.
#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <span>
#include <vector>

#include "base/units.h"
#include "grant/emulated_hypervisor.h"
#include "grant/emulated_pages.h"
#include "grant/emulated_protocol.h"
#include "grant/emulated_requests.h"

namespace {

using namespace splitring;

constexpr size_t kClients = 6;
constexpr uint16_t kDomains = 3;
constexpr HypervisorLimits kLimits{.domains = kDomains,
                                   .handles_per_domain = kClients,
                                   .grants_per_domain = 32,
                                   .pins_per_domain = 64,
                                   .ports_per_domain = 8};

void require(bool condition) {
  if (!condition) std::abort();
}

class Input {
 public:
  Input(const uint8_t* data, size_t size) : rest_(data, size) {}
  [[nodiscard]] bool empty() const { return rest_.empty(); }
  uint8_t byte() {
    if (rest_.empty()) return 0;
    const uint8_t value = rest_.front();
    rest_ = rest_.subspan(1);
    return value;
  }

 private:
  std::span<const uint8_t> rest_;
};

// What a client may send along: made once, duplicated for each use.
class Descriptors {
 public:
  Descriptors() {
    for (uint32_t pages = 1; pages <= 4; pages++)
      for (const Access access : {Access::kReadOnly, Access::kReadWrite}) {
        SharedMemory memory = make_shared_memory(pages, access).value();
        ::munmap(memory.bytes.data(), memory.bytes.size());
        all_.push_back(std::move(memory.descriptor));
      }
    all_.emplace_back(::eventfd(0, EFD_CLOEXEC));
    all_.emplace_back(::memfd_create("unsealed", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  }
  [[nodiscard]] UniqueFd duplicate(size_t which) const {
    return UniqueFd(::fcntl(all_[which % all_.size()].get(), F_DUPFD_CLOEXEC, 0));
  }

 private:
  std::vector<UniqueFd> all_;
};

size_t head_size(wire::Type type) {
  switch (type) {
    case wire::Type::kHello: return sizeof(wire::HelloRequest);
    case wire::Type::kShare: return sizeof(wire::ShareRequest);
    case wire::Type::kEndShare: return sizeof(wire::EndShareRequest);
    case wire::Type::kQuarantined: return sizeof(wire::QuarantinedRequest);
    case wire::Type::kMap: return sizeof(wire::MapRequest);
    case wire::Type::kUnmap: return sizeof(wire::UnmapRequest);
    case wire::Type::kResolve: return sizeof(wire::ResolveRequest);
    case wire::Type::kOffer: return sizeof(wire::OfferRequest);
    case wire::Type::kBind: return sizeof(wire::BindRequest);
    case wire::Type::kClosePort: return sizeof(wire::ClosePortRequest);
    case wire::Type::kListDomains: return sizeof(wire::ListDomainsRequest);
    case wire::Type::kCreateDomain:
    case wire::Type::kDestroyDomain:
    case wire::Type::kCounts: return sizeof(wire::DomainRequest);
  }
  return sizeof(le32);
}

class Machine {
 public:
  Machine() {
    for (uint16_t id = 0; id < kDomains; id++) require(rules_.create_domain(DomId{id}).has_value());
    requests_.set_domain_control({[this](DomId id) { return rules_.create_domain(id); },
                                  [this](DomId id) { return rules_.destroy_domain(id); }});
  }

  void step(Input& input) {
    const uint8_t choice = input.byte();
    auto& client = clients_[choice % kClients];
    if (!client && !connect(choice % kClients)) return;
    const auto frame = make_frame(input);
    std::vector<UniqueFd> descriptors;
    if ((choice & 0x40) != 0) descriptors.push_back(descriptors_for(input));
    const auto outcome = requests_.handle(*client, frame, descriptors, reply_);
    if (!outcome || (choice & 0x80) != 0) {
      rules_.close_handle(client->handle);
      client.reset();
    } else {
      require(reply_.frame().size() >= sizeof(wire::ReplyHeader));
      for (const int fd : reply_.descriptors()) require(::fcntl(fd, F_GETFD) >= 0);
    }
    reply_.clear();
    check();
  }

  void finish() {
    for (auto& client : clients_)
      if (client) rules_.close_handle(client->handle);
    for (const DomId id : rules_.domains()) require(rules_.counts(id).value() == DomainCounts{});
  }

 private:
  bool connect(size_t index) {
    const DomId domain{static_cast<uint16_t>(index % kDomains)};
    const auto handle = rules_.open_handle(domain);
    if (!handle) return false;  // destroyed by another
    clients_[index] = {domain, *handle, true};
    return true;
  }

  static UniqueFd descriptors_for(Input& input) {
    static const Descriptors descriptors;
    return descriptors.duplicate(input.byte());
  }

  static std::vector<std::byte> make_frame(Input& input) {
    const uint8_t type = input.byte();
    std::vector<std::byte> frame;
    if ((type & 0x80) != 0) {
      frame.resize(input.byte());
      for (auto& byte : frame) byte = std::byte{input.byte()};
      return frame;
    }
    frame.resize(head_size(wire::Type{type}));
    put(frame, 0, type);
    for (size_t at = 4; at + 4 <= frame.size(); at += 4) put(frame, at, input.byte());
    add_items(frame, wire::Type{type}, input);
    return frame;
  }
  static void add_items(std::vector<std::byte>& frame, wire::Type type, Input& input) {
    const bool map = type == wire::Type::kMap;
    if (!map && type != wire::Type::kResolve) return;
    const uint8_t count = input.byte() % 16;
    put(frame, map ? offsetof(wire::MapRequest, count) : offsetof(wire::ResolveRequest, count),
        count);
    for (size_t i = 0; i < count * size_t{map ? 1u : 2u}; i++) {
      frame.resize(frame.size() + 4);
      put(frame, frame.size() - 4, input.byte());
    }
  }
  static void put(std::vector<std::byte>& frame, size_t at, uint32_t value) {
    const le32 number(value);
    std::memcpy(frame.data() + at, &number, sizeof number);
  }

  void check() {
    uint32_t handles = 0;
    for (const DomId id : rules_.domains()) {
      const DomainCounts counts = rules_.counts(id).value();
      require(counts.grants + counts.quarantined <= kLimits.grants_per_domain);
      require(counts.pins <= kLimits.pins_per_domain);
      require(counts.ports <= kLimits.ports_per_domain);
      handles += counts.handles;
    }
    require(handles <= kClients);
  }

  EmulatedHypervisor rules_{kLimits};
  HypervisorRequests requests_{rules_};
  HypervisorReply reply_;
  std::array<std::optional<HypervisorRequests::Client>, kClients> clients_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Input input(data, size);
  Machine machine;
  while (!input.empty()) machine.step(input);
  machine.finish();
  return 0;
}
