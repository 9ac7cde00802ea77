// The server against a plain model of it: random requests of several clients, with transactions and
// watches, must give the same answers, the same tree and the same events.
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "tests/support/xenbus/store_conversation.h"
#include "tests/support/xenbus/store_model.h"

namespace splitring {
namespace {

using test::StoreConversation;
using test::StoreModel;
using Kind = StoreModel::Kind;

constexpr uint32_t kSeeds = 60;
constexpr int kStepsPerSeed = 400;

struct Client {
  Client(StoreService& service, uint16_t id) : domain(id), conversation(service, id) {}
  int domain;
  StoreConversation conversation;
  std::vector<std::string> watched;
  uint32_t transaction = 0;  // at most one, which is enough with several clients
  int model_transaction = 0;
};

class Comparison {
 public:
  explicit Comparison(uint32_t seed) : random_(seed), model_(snapshot_after_introductions()) {
    for (const int domain : {0, 0, 1, 2})
      clients_.push_back(std::make_unique<Client>(service_, static_cast<uint16_t>(domain)));
    for (auto& client : clients_) add_watches(*client);
  }

  void step() {
    Client& client = *clients_[below(clients_.size())];
    model_.forget_events();
    switch (below(12)) {
      case 0: begin(client); break;
      case 1: end(client); break;
      default: ask(client); break;
    }
    compare_events();
  }

  void compare_trees() { EXPECT_EQ(snapshot(), model_.tree()); }

 private:
  StoreModel::Tree snapshot() {
    StoreModel::Tree tree;
    for (const auto& [path, node] : service_.tree().nodes()) {
      StoreModel::Node& copy = tree[path];
      copy.value = node->value;
      for (const StorePermission& each : node->permissions)
        copy.permissions.push_back(format_store_permission(each));
    }
    return tree;
  }

  StoreModel::Tree snapshot_after_introductions() {
    EXPECT_TRUE(service_.introduce(DomId{1}));
    EXPECT_TRUE(service_.introduce(DomId{2}));
    return snapshot();
  }

  size_t below(size_t bound) { return random_() % bound; }

  std::string random_path() {
    static const std::vector<std::string> tops{"/", "/tool", "/local/domain/1", "/local/domain/2"};
    static const std::vector<std::string> names{"/a", "/b", "/a-b", "/domid"};
    std::string path = tops[below(tops.size())];
    for (size_t depth = below(4); depth > 0; depth--)
      path = (path == "/" ? "" : path) + names[below(names.size())];
    return path;
  }

  std::vector<std::string> random_permissions(int domain) {
    std::vector<std::string> permissions;
    for (size_t count = 1 + below(3); count > 0; count--)
      permissions.push_back(std::string(1, "nrwb"[below(4)]) + std::to_string(below(3)));
    if (below(4) != 0) permissions[0] = permissions[0][0] + std::to_string(domain);
    return permissions;
  }

  void add_watches(Client& client) {
    for (int i = 0; i < 3; i++) {
      const std::string path = random_path();
      if (std::ranges::count(client.watched, path) != 0) continue;
      ASSERT_EQ(client.conversation.watch(path, path), "OK ");
      client.watched.push_back(path);
    }
    client.conversation.events();
  }

  void ask(Client& client) {
    StoreModel::Request request{static_cast<Kind>(below(7)), client.domain, random_path(),
                                std::to_string(below(100)), random_permissions(client.domain)};
    if (request.kind == Kind::kMakeDirectory) request.value.clear();
    // Removing is rarer, or the tree stays small.
    if (request.kind == Kind::kRemove && below(3) != 0) request.kind = Kind::kWrite;
    // Rights are what most of it is about: the top folders keep theirs.
    if (request.kind == Kind::kRemove && request.path.size() < 8) request.path = "/tool/a";
    const std::string expected = model_.ask(request, client.model_transaction);
    EXPECT_EQ(say(client, request), expected)
        << "kind " << static_cast<int>(request.kind) << " of domain " << client.domain << " on "
        << request.path << " in " << client.transaction;
  }

  static std::string say(Client& client, const StoreModel::Request& request) {
    StoreConversation& to = client.conversation;
    const uint32_t transaction = client.transaction;
    switch (request.kind) {
      case Kind::kRead: return to.read(request.path, transaction);
      case Kind::kList: return to.list(request.path, transaction);
      case Kind::kPermissions: return to.permissions(request.path, transaction);
      case Kind::kWrite: return to.write(request.path, request.value, transaction);
      case Kind::kMakeDirectory: return to.make_directory(request.path, transaction);
      case Kind::kRemove: return to.remove(request.path, transaction);
      case Kind::kSetPermissions:
        return to.set_permissions(request.path, request.permissions, transaction);
    }
    return "";
  }

  void begin(Client& client) {
    if (client.transaction != 0) return;
    client.transaction = client.conversation.begin();
    client.model_transaction = model_.begin();
  }

  void end(Client& client) {
    if (client.transaction == 0) return;
    if (below(5) == 0) {
      EXPECT_EQ(client.conversation.abort(client.transaction), "OK ");
      model_.abort(client.model_transaction);
    } else {
      EXPECT_EQ(client.conversation.commit(client.transaction),
                model_.commit(client.model_transaction));
    }
    client.transaction = 0;
    client.model_transaction = 0;
  }

  void compare_events() {
    for (auto& client : clients_) {
      std::vector<std::string> expected;
      for (const std::string& watched : client->watched) {
        for (const std::string& path : model_.events(client->domain, watched))
          expected.push_back(path + " " + watched);
      }
      std::vector<std::string> heard = client->conversation.events();
      std::ranges::sort(expected);
      std::ranges::sort(heard);
      EXPECT_EQ(heard, expected) << "client of domain " << client->domain;
    }
  }

  std::minstd_rand random_;
  StoreService service_{StoreLimits{}};
  StoreModel model_;
  std::vector<std::unique_ptr<Client>> clients_;
};

TEST(StoreModel, ServerDoesWhatTheModelDoes) {
  for (uint32_t seed = 1; seed <= kSeeds; seed++) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Comparison comparison(seed);
    for (int i = 0; i < kStepsPerSeed && !testing::Test::HasFailure(); i++) comparison.step();
    comparison.compare_trees();
    if (testing::Test::HasFailure()) return;
  }
}

}  // namespace
}  // namespace splitring
