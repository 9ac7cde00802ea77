// The store server without its sockets, driven by three clients of two domains and domain 0. The
// input is a list of steps: a byte that chooses client and action, a length byte, that many bytes.
// After every step the server has to be in order; what it says has to be frames.
#include <cstdint>
#include <cstdlib>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "xenbus/store_service.h"
#include "xenbus/store_session.h"
#include "xenbus/store_wire.h"

namespace {

using namespace splitring;

constexpr size_t kClients = 4;
constexpr uint16_t kDomainOf[kClients] = {0, 1, 1, 2};

void require(bool condition) {
  if (!condition) std::abort();
}

class Steps {
 public:
  Steps(const uint8_t* data, size_t size) : rest_(reinterpret_cast<const char*>(data), size) {}
  [[nodiscard]] bool empty() const { return rest_.empty(); }
  uint8_t byte() {
    if (rest_.empty()) return 0;
    const auto value = static_cast<uint8_t>(rest_.front());
    rest_.remove_prefix(1);
    return value;
  }
  std::string_view bytes(size_t count) {
    const std::string_view taken = rest_.substr(0, count);
    rest_.remove_prefix(taken.size());
    return taken;
  }

 private:
  std::string_view rest_;
};

class Fuzzed {
 public:
  Fuzzed() {
    require(service_.introduce(DomId{1}).has_value());
    require(service_.introduce(DomId{2}).has_value());
  }

  void step(Steps& steps) {
    const uint8_t choice = steps.byte();
    std::unique_ptr<StoreSession>& session = sessions_[choice % kClients];
    const DomId domain{kDomainOf[choice % kClients]};
    if (session && session->closed()) session.reset();
    if (!session) {
      if (!service_.is_introduced(domain)) (void)service_.introduce(domain);
      session = std::make_unique<StoreSession>(service_, domain);
      heard_[choice % kClients] = {};
    }
    switch ((choice >> 2) % 4) {
      case 0: session->receive(steps.bytes(steps.byte())); break;
      case 1: session->close(); break;
      default: request(*session, steps); break;
    }
    // Some read late.
    if ((choice >> 4) % 4 != 0) hear(choice % kClients);
    check();
  }

 private:
  // A well-formed frame of what the input says.
  static void request(StoreSession& session, Steps& steps) {
    const StoreMessage type{steps.byte() % 24U};
    const uint32_t transaction = steps.byte() % 4U;
    std::string frame;
    append_frame(frame, type, 1, transaction, steps.bytes(steps.byte()));
    session.receive(frame);
  }

  void hear(size_t client) {
    StoreSession& session = *sessions_[client];
    while (!session.closed() && !session.output().empty()) {
      const std::string_view output = session.output();
      heard_[client].feed(output);
      session.sent(output.size());
    }
    auto frame = heard_[client].next();
    while (frame.has_value() && frame->has_value()) frame = heard_[client].next();
    require(frame.has_value());
  }

  void check() {
    std::map<DomId, size_t> owned;
    const StoreNodeMap& nodes = service_.tree().nodes();
    for (const auto& [path, node] : nodes) {
      require(node && !node->permissions.empty() && is_valid_store_path(path));
      require(path == "/" || nodes.contains(parent_store_path(path)));
      owned[node->permissions.front().domain]++;
    }
    for (const auto& [domain, count] : owned) require(service_.tree().node_count(domain) == count);
    for (const uint16_t domain : {uint16_t{1}, uint16_t{2}}) {
      if (!service_.is_introduced(DomId{domain})) continue;
      require(service_.usage(DomId{domain}).watches <= limits_.watches);
      require(service_.usage(DomId{domain}).transactions <= limits_.transactions);
    }
    for (const auto& session : sessions_) {
      if (session) require(session->events().bytes() <= limits_.pending_event_bytes + 32'768);
    }
  }

  StoreLimits limits_{.nodes = 20,
                      .watches = 8,
                      .transactions = 4,
                      .transaction_nodes = 16,
                      .pending_event_bytes = 4096,
                      .output_bytes = 4096};
  StoreService service_{limits_};
  std::unique_ptr<StoreSession> sessions_[kClients];
  StoreFrameReader heard_[kClients];
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Fuzzed fuzzed;
  Steps steps(data, size);
  while (!steps.empty()) fuzzed.step(steps);
  return 0;
}
