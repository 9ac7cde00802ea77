// The sockets of the emulated host's store: who gets in, and what a bad client can do to others.
#include "xenbus/emulated_store_server.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>

#include "tests/support/xenbus/served_store.h"
#include "tests/support/xenbus/store_conversation.h"
#include "xenbus/store_wire.h"
#include "xenbus/xen_store.h"

namespace splitring {
namespace {

using test::ServedStore;
using test::wire;

Errc code_of(const auto& result) { return result.error().code; }

// A client that keeps no rules.
class RawClient {
 public:
  explicit RawClient(const std::filesystem::path& path)
      : socket_(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.c_str(), path.native().size());
    EXPECT_EQ(connect(socket_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address),
              0);
  }
  bool say(const std::string& bytes, int flags = 0) {
    return send(socket_.get(), bytes.data(), bytes.size(), flags | MSG_NOSIGNAL) ==
           static_cast<ssize_t>(bytes.size());
  }
  // Blocks until the server has closed; true if it said nothing before.
  bool hears_only_the_end() {
    char byte;
    return recv(socket_.get(), &byte, 1, 0) <= 0;
  }

 private:
  UniqueFd socket_;
};

std::string frame(StoreMessage type, std::string_view payload) {
  std::string bytes;
  append_frame(bytes, type, 1, 0, payload);
  return bytes;
}

TEST(StoreServer, O1_SocketIsForItsUserOnly) {
  ServedStore host({5});
  for (const uint16_t domain : {uint16_t{0}, uint16_t{5}}) {
    struct stat status {};
    ASSERT_EQ(stat(host.socket(domain).c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777, 0600U);
  }
}

TEST(StoreServer, X1_FrameThatAnnouncesTooMuchIsTheLast) {
  ServedStore host({5});
  const auto good = host.open(5);
  RawClient bad(host.socket(5));
  std::string bytes = frame(StoreMessage::kRead, "");
  bytes.back() = '\x7f';  // the highest byte of the length
  ASSERT_TRUE(bad.say(bytes));
  EXPECT_TRUE(bad.hears_only_the_end());
  EXPECT_EQ(good->now().read("domid").value(), "5");
}

TEST(StoreServer, X10_ClientThatNeverReadsStopsOnlyItself) {
  ServedStore host({5});
  const auto good = host.open(5);
  RawClient flood(host.socket(5));
  const std::string request = frame(StoreMessage::kDirectory, wire({"/local/domain/5"}));
  // Until the server stops taking it and the socket is full.
  size_t sent = 0;
  while (flood.say(request, MSG_DONTWAIT)) sent++;
  EXPECT_GT(sent, 100U);
  for (int i = 0; i < 100; i++) ASSERT_TRUE(good->now().write("data", std::to_string(i)));
}

TEST(StoreServer, X10_HalfAFrameHoldsUpNobody) {
  ServedStore host({5});
  RawClient half(host.socket(5));
  ASSERT_TRUE(half.say(frame(StoreMessage::kWrite, "data").substr(0, 18)));
  EXPECT_EQ(host.open(5)->now().read("domid").value(), "5");
  EXPECT_EQ(code_of(host.open(0)->now().read("/local/domain/5/data")), Errc::kNotFound);
}

TEST(StoreServer, ConnectionsPerDomainAreLimited) {
  // A Store takes two: libxenstore's and the one that shows a lost server.
  ServedStore host({5}, {.connections = 4});
  const auto first = host.open(5);
  const auto second = host.open(5);
  ASSERT_TRUE(second->now().read("domid"));
  RawClient refused(host.socket(5));
  EXPECT_TRUE(refused.hears_only_the_end());
  EXPECT_TRUE(first->now().read("domid"));
  EXPECT_TRUE(host.open(0)->now().read("domid"));
}

TEST(StoreServer, ClosedClientsLeaveNothing) {
  ServedStore host({5});
  size_t before = 1;
  host.run([&](EmulatedStoreServer& server) { before = server.connection_count(); });
  {
    const auto store = host.open(5);
    ASSERT_TRUE(store->watch("device", "t"));
    ASSERT_TRUE(store->now().read("domid"));
  }
  // The server hears of the close no later than of what another client says after it.
  EXPECT_TRUE(host.open(0)->now().read("domid"));
  host.run([&](EmulatedStoreServer& server) {
    for (int i = 0; i < 4; i++) server.process();
    EXPECT_EQ(server.connection_count(), before);
  });
}

TEST(StoreServer, IntroducesAndReleasesDomainsOnce) {
  const auto server = std::move(EmulatedStoreServer::create()).value();
  EXPECT_EQ(code_of(server->introduce(DomId{0})), Errc::kExists);
  EXPECT_TRUE(server->introduce(DomId{5}));
  EXPECT_EQ(code_of(server->introduce(DomId{5})), Errc::kExists);
  EXPECT_EQ(code_of(server->introduce(DomId{kFirstReservedDomId})), Errc::kInvalid);
  EXPECT_EQ(code_of(server->release(DomId{0})), Errc::kInvalid);
  EXPECT_TRUE(server->release(DomId{5}));
  EXPECT_EQ(code_of(server->release(DomId{5})), Errc::kNotFound);
}

TEST(StoreServer, ListensWhereNobodyElseDoes) {
  ServedStore host({5});
  const std::filesystem::path live = host.socket(0);
  const std::filesystem::path file = live.parent_path() / "file";
  const std::filesystem::path dead = live.parent_path() / "dead";
  std::ofstream(file) << "precious";
  {
    // What a server that was killed leaves.
    UniqueFd left(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, dead.c_str(), dead.native().size());
    ASSERT_EQ(bind(left.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  }
  const auto server = std::move(EmulatedStoreServer::create()).value();
  EXPECT_EQ(code_of(server->listen(DomId{0}, live)), Errc::kBusy);
  EXPECT_EQ(code_of(server->listen(DomId{0}, file)), Errc::kBusy);
  EXPECT_EQ(std::filesystem::file_size(file), 8U);
  EXPECT_TRUE(server->listen(DomId{0}, dead));
  EXPECT_EQ(code_of(server->listen(DomId{0}, std::string(108, 'x'))), Errc::kInvalid);
  EXPECT_EQ(code_of(server->listen(DomId{5}, live.parent_path() / "new")), Errc::kNotFound);
}

TEST(StoreServer, SocketsGoWithTheirDomainAndServer) {
  ServedStore host({5});
  const std::filesystem::path socket = host.socket(5);
  EXPECT_TRUE(std::filesystem::exists(socket));
  host.release(5);
  EXPECT_FALSE(std::filesystem::exists(socket));
}

}  // namespace
}  // namespace splitring
