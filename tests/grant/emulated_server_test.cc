// Hostile clients of the hypervisor's socket, and a hostile server before our own clients.
#include "grant/emulated_server.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <thread>
#include <vector>

#include "grant/emulated_frame.h"
#include "grant/emulated_grant_share.h"
#include "grant/emulated_grant_table.h"
#include "grant/emulated_pages.h"
#include "tests/support/grant/hypervisor_process.h"

namespace splitring {
namespace {

using testing::ChildProcess;
using testing::HypervisorProcess;

template <class T>
std::vector<std::byte> bytes_of(const T& item) {
  std::vector<std::byte> bytes(sizeof item);
  std::memcpy(bytes.data(), &item, sizeof item);
  return bytes;
}

uint32_t type(wire::Type t) { return static_cast<uint32_t>(t); }

const std::vector<std::byte> kHello =
    bytes_of(wire::HelloRequest{type(wire::Type::kHello), wire::kMagic, wire::kVersion});

// A client without manners.
class RawClient {
 public:
  explicit RawClient(const std::filesystem::path& path, bool hello = true)
      : socket_(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.string().copy(address.sun_path, sizeof address.sun_path - 1);
    EXPECT_EQ(::connect(socket_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    if (!hello) return;
    send(kHello);
    EXPECT_TRUE(receive());
  }

  bool send(std::span<const std::byte> frame, std::span<const int> descriptors = {}) {
    return send_frame(socket_.get(), frame, descriptors).has_value();
  }
  // More than one frame's descriptors, without the checks of ours.
  bool send_many(std::span<const std::byte> frame, std::span<const int> descriptors) {
    std::vector<std::byte> control(CMSG_SPACE(descriptors.size_bytes()));
    iovec piece{const_cast<std::byte*>(frame.data()), frame.size()};
    msghdr message{};
    message.msg_iov = &piece;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(descriptors.size_bytes());
    std::memcpy(CMSG_DATA(header), descriptors.data(), descriptors.size_bytes());
    return ::sendmsg(socket_.get(), &message, MSG_NOSIGNAL) >= 0;
  }
  // False once the server has closed the connection.
  bool receive() { return receive_frame(socket_.get(), frame_, descriptors_).has_value(); }
  [[nodiscard]] uint32_t status() const {
    le32 status;
    std::memcpy(&status, frame_.data(), sizeof status);
    return status;
  }
  [[nodiscard]] int descriptor(size_t i) const { return descriptors_[i].get(); }

 private:
  UniqueFd socket_;
  std::array<std::byte, wire::kMaxReply> frame_;
  std::array<UniqueFd, 8> descriptors_;
};

size_t open_descriptors(pid_t pid) {
  const auto path = "/proc/" + std::to_string(pid) + "/fd";
  return static_cast<size_t>(std::distance(std::filesystem::directory_iterator(path),
                                           std::filesystem::directory_iterator()));
}

class HostileClient : public ::testing::Test {
 protected:
  // The server has dropped it, holds nothing of it, and goes on for others.
  void expect_dropped(RawClient& client, const std::string& what) {
    EXPECT_FALSE(client.receive()) << what;
    EXPECT_EQ(host_.counts_after_close(1, 0), DomainCounts{}) << what;
    EXPECT_EQ(open_descriptors(host_.pid()), descriptors_at_rest_) << what;
  }
  void expect_refused(std::span<const std::byte> frame, std::span<const int> descriptors,
                      const std::string& what) {
    RawClient client(host_.socket(1));
    client.send(frame, descriptors);
    expect_dropped(client, what);
  }

  HypervisorProcess host_{1};
  size_t descriptors_at_rest_ = open_descriptors(host_.pid());
};

std::vector<std::pair<std::string, std::vector<std::byte>>> good_requests() {
  using T = wire::Type;
  const auto with = [](std::vector<std::byte> head, size_t more) {
    head.resize(head.size() + more);
    return head;
  };
  return {
      {"hello", kHello},
      {"share", bytes_of(wire::ShareRequest{type(T::kShare), 0, 1, 1})},
      {"end share", bytes_of(wire::EndShareRequest{type(T::kEndShare), {}, 1})},
      {"quarantined", bytes_of(wire::QuarantinedRequest{type(T::kQuarantined)})},
      {"map", with(bytes_of(wire::MapRequest{type(T::kMap), 0, 1, 2, 1}), 8)},
      {"unmap", bytes_of(wire::UnmapRequest{type(T::kUnmap), {}, 1})},
      {"resolve", with(bytes_of(wire::ResolveRequest{type(T::kResolve), 0, 2}), 16)},
      {"offer", bytes_of(wire::OfferRequest{type(T::kOffer), 0})},
      {"bind", bytes_of(wire::BindRequest{type(T::kBind), 0, 1})},
      {"close port", bytes_of(wire::ClosePortRequest{type(T::kClosePort), 1})},
      {"list", bytes_of(wire::ListDomainsRequest{type(T::kListDomains)})},
      {"create", bytes_of(wire::DomainRequest{type(T::kCreateDomain), 5})},
      {"destroy", bytes_of(wire::DomainRequest{type(T::kDestroyDomain), 5})},
      {"counts", bytes_of(wire::DomainRequest{type(T::kCounts), 1})},
  };
}

TEST_F(HostileClient, B41_AnyRequestOfTheWrongSizeDropsItsSender) {
  for (const auto& [name, request] : good_requests()) {
    auto frame = request;
    frame.pop_back();
    expect_refused(frame, {}, name + ", a byte short");
    frame = request;
    frame.push_back(std::byte{});
    expect_refused(frame, {}, name + ", a byte long");
    frame = request;
    frame.resize(frame.size() > sizeof(le32) ? sizeof(le32) : 0);
    expect_refused(frame, {}, name + ", its type at most");
  }
}

TEST_F(HostileClient, B41_HugeEmptyAndUnknownFramesDropTheirSender) {
  expect_refused(std::vector<std::byte>(100'000), {}, "huge");
  expect_refused(std::vector<std::byte>(wire::kMaxRequest + 1), {}, "a byte more than any");
  expect_refused({}, {}, "empty");
  expect_refused(bytes_of(le32(0)), {}, "type 0");
  expect_refused(bytes_of(le32(999)), {}, "type 999");
}

TEST_F(HostileClient, B41_CountsThatDisagreeWithTheSizeDropTheirSender) {
  for (const uint32_t count : {0u, 1u, 3u, 249u, 0xffffffffu}) {
    auto map = bytes_of(wire::MapRequest{type(wire::Type::kMap), 0, 1, count, 1});
    map.resize(map.size() + 2 * sizeof(le32));
    expect_refused(map, {}, "map of " + std::to_string(count));
    auto resolve = bytes_of(wire::ResolveRequest{type(wire::Type::kResolve), 0, count});
    resolve.resize(resolve.size() + 2 * sizeof(wire::ResolveItem));
    expect_refused(resolve, {}, "resolve of " + std::to_string(count));
  }
}

TEST_F(HostileClient, B41_AConnectionBeginsWithOneGoodHello) {
  for (const auto& [name, request] : good_requests()) {
    if (name == "hello") continue;
    RawClient client(host_.socket(1), false);
    client.send(request);
    expect_dropped(client, name + " before hello");
  }
  expect_refused(kHello, {}, "hello twice");
  RawClient other(host_.socket(1), false);
  other.send(bytes_of(wire::HelloRequest{type(wire::Type::kHello), 0x1234, wire::kVersion}));
  expect_dropped(other, "another protocol");
  RawClient newer(host_.socket(1), false);
  newer.send(bytes_of(wire::HelloRequest{type(wire::Type::kHello), wire::kMagic, 2}));
  ASSERT_TRUE(newer.receive()) << "another version is told";
  EXPECT_EQ(newer.status(), 1 + static_cast<uint32_t>(Errc::kUnsupported));
}

TEST_F(HostileClient, B41_DescriptorsThatWereNotAskedForAreClosed) {
  const UniqueFd null(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  const std::vector<int> many(253, null.get());
  for (const auto& [name, request] : good_requests()) {
    for (const size_t count : {size_t{1}, size_t{2}, size_t{253}}) {
      RawClient client(host_.socket(1));
      ASSERT_TRUE(client.send_many(request, std::span(many).first(count)));
      expect_dropped(client, name + " with " + std::to_string(count) + " descriptors");
    }
  }
}

UniqueFd make_memfd(size_t size, int seals) {
  UniqueFd fd(::memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  EXPECT_EQ(::ftruncate(fd.get(), static_cast<off_t>(size)), 0);
  EXPECT_EQ(::fcntl(fd.get(), F_ADD_SEALS, seals), 0);
  return fd;
}

TEST_F(HostileClient, B40_OnlyFullySealedMemoryOfTheSaidSizeIsShared) {
  constexpr int kSize = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
  const auto share = [](uint32_t access, uint32_t pages) {
    return bytes_of(wire::ShareRequest{type(wire::Type::kShare), 0, access, pages});
  };
  const auto try_memfd = [&](size_t size, int seals, uint32_t access, uint32_t pages,
                             const std::string& what) {
    const UniqueFd fd = make_memfd(size, seals);
    expect_refused(share(access, pages), std::array{fd.get()}, what);
  };
  try_memfd(kPageSize, 0, 1, 1, "no seals");
  try_memfd(kPageSize, F_SEAL_GROW | F_SEAL_SEAL, 1, 1, "may shrink");
  try_memfd(kPageSize, F_SEAL_SHRINK | F_SEAL_SEAL, 1, 1, "may grow");
  try_memfd(kPageSize, F_SEAL_SHRINK | F_SEAL_GROW, 1, 1, "seals may change");
  try_memfd(kPageSize, kSize | F_SEAL_WRITE, 1, 1, "read-write, but nobody can write");
  try_memfd(kPageSize, kSize, 0, 1, "read-only, but anybody can write");
  try_memfd(kPageSize - 1, kSize, 1, 1, "short");
  try_memfd(kPageSize, kSize, 1, 2, "a page short");
  try_memfd(2 * kPageSize, kSize, 1, 1, "a page long");
  try_memfd(kPageSize, kSize, 1, 0, "no pages");
  try_memfd(1025 * size_t{kPageSize}, kSize, 1, 1025, "more than a share may have");
  try_memfd(kPageSize, kSize, 2, 1, "unknown access");
}

TEST_F(HostileClient, B41_OtherKindsOfDescriptorAreNotShared) {
  const auto request = bytes_of(wire::ShareRequest{type(wire::Type::kShare), 0, 1, 1});
  const auto refuse = [&](UniqueFd fd, const char* what) {
    ASSERT_TRUE(fd) << what;
    expect_refused(request, std::array{fd.get()}, what);
  };
  refuse(UniqueFd(::eventfd(0, EFD_CLOEXEC)), "eventfd");
  refuse(UniqueFd(::open("/tmp", O_RDONLY | O_CLOEXEC)), "directory");
  refuse(UniqueFd(::open("/dev/zero", O_RDWR | O_CLOEXEC)), "device");
  refuse(UniqueFd(::open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600)), "file");
  refuse(UniqueFd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)), "socket");
  expect_refused(request, {}, "none");
}

TEST_F(HostileClient, B41_AClientThatDoesNotReadItsRepliesIsDropped) {
  RawClient client(host_.socket(1));
  const auto request = bytes_of(wire::QuarantinedRequest{type(wire::Type::kQuarantined)});
  int sent = 0;
  while (sent < 100'000 && client.send(request)) sent++;
  EXPECT_LT(sent, 100'000);
  EXPECT_EQ(host_.counts_after_close(1, 0), DomainCounts{});
}

TEST_F(HostileClient, B41_HostileClientsDoNotDisturbAnHonestOne) {
  const auto share = EmulatedGrantShare::open(host_.socket(1)).value();
  const auto pages = share->share(DomId{0}, 4, Access::kReadWrite).value();
  for (int i = 0; i < 50; i++) {
    RawClient client(host_.socket(1));
    client.send(std::vector<std::byte>(static_cast<size_t>(i)));
  }
  EXPECT_EQ(host_.counts_after_close(1, 1), (DomainCounts{.handles = 1, .grants = 4}));
  EXPECT_TRUE(share->share(DomId{0}, 1, Access::kReadWrite));
}

TEST_F(HostileClient, WhatIsLentReadOnlyCannotBeMadeWritableByItsMapper) {
  const auto share = EmulatedGrantShare::open(host_.socket(1)).value();
  const auto pages = share->share(DomId{0}, 1, Access::kReadOnly).value();
  RawClient mapper(host_.socket(0));
  auto request = bytes_of(wire::MapRequest{type(wire::Type::kMap), 1, 0, 1, 1});
  const auto ref = bytes_of(le32(raw(pages->refs()[0])));
  request.insert(request.end(), ref.begin(), ref.end());
  mapper.send(request);
  ASSERT_TRUE(mapper.receive());
  ASSERT_EQ(mapper.status(), wire::kStatusOk);
  const int fd = mapper.descriptor(0);
  const auto map_writable = [](int of) {
    return ::mmap(nullptr, kPageSize, PROT_READ | PROT_WRITE, MAP_SHARED, of, 0) != MAP_FAILED;
  };
  EXPECT_FALSE(map_writable(fd));
  EXPECT_EQ(::pwrite(fd, "x", 1, 0), -1);
  const UniqueFd reopened(::open(("/proc/self/fd/" + std::to_string(fd)).c_str(), O_RDWR));
  EXPECT_FALSE(reopened && map_writable(reopened.get()));
  EXPECT_EQ(::pwrite(reopened.get(), "x", 1, 0), -1);
  EXPECT_EQ(pages->bytes()[0], std::byte{});
}

TEST_F(HostileClient, O1_AnotherUserIsTurnedAway) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can be two users";
  constexpr uid_t kNobody = 65534;
  const auto socket = host_.socket(1);
  // Let it through the doors that a directory and a mode are, to stand before the last one.
  ASSERT_EQ(::chmod(socket.parent_path().c_str(), 0755), 0);
  ASSERT_EQ(::chmod(socket.c_str(), 0666), 0);
  ChildProcess stranger([&] {
    if (::setuid(kNobody) != 0) return false;
    RawClient client(socket, false);
    client.send(kHello);
    return !client.receive();
  });
  EXPECT_TRUE(stranger.join());
}

TEST(SharedMemory, B40_ItsOwnerCannotShortenItUnderAMapper) {
  const SharedMemory memory = make_shared_memory(2, Access::kReadWrite).value();
  EXPECT_NE(::ftruncate(memory.descriptor.get(), 0), 0);
  EXPECT_NE(::ftruncate(memory.descriptor.get(), kPageSize), 0);
  EXPECT_TRUE(check_sealed(memory.descriptor.get(), 2));
  EXPECT_EQ(check_sealed(memory.descriptor.get(), 3).error().code, Errc::kPeer);
  ::munmap(memory.bytes.data(), memory.bytes.size());
}

// ---- a server that lies
// --------------------------------------------------------------------------

// Says hello, then gives `reply` with `descriptor` to whatever comes, until the client leaves.
class LyingServer {
 public:
  LyingServer(const std::vector<std::byte>& reply, const std::vector<int>& descriptors)
      : socket_(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path().string().copy(address.sun_path, sizeof address.sun_path - 1);
    EXPECT_EQ(::bind(socket_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    EXPECT_EQ(::listen(socket_.get(), 1), 0);
    thread_ = std::thread([this, reply, descriptors] { serve(reply, descriptors); });
  }
  ~LyingServer() { thread_.join(); }
  LyingServer(const LyingServer&) = delete;
  LyingServer& operator=(const LyingServer&) = delete;

  [[nodiscard]] std::filesystem::path path() const { return directory_.path() / "socket"; }

 private:
  void serve(const std::vector<std::byte>& reply, const std::vector<int>& descriptors) {
    const UniqueFd client(::accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    std::array<std::byte, wire::kMaxRequest> request;
    std::array<UniqueFd, 1> ignored;
    const auto hello = bytes_of(wire::HelloReply{{}, wire::kVersion, 0});
    bool first = true;
    while (receive_frame(client.get(), request, ignored)) {
      const auto sent = first ? send_frame(client.get(), hello, {})
                              : send_frame(client.get(), reply, descriptors);
      if (!sent) return;
      first = false;
    }
  }

  testing::TemporaryDirectory directory_;
  UniqueFd socket_;
  std::thread thread_;
};

std::vector<std::byte> map_reply(uint32_t descriptors, const std::vector<wire::MappedPage>& pages) {
  auto reply = bytes_of(wire::MapReply{{}, descriptors});
  for (const auto& page : pages) {
    const auto more = bytes_of(page);
    reply.insert(reply.end(), more.begin(), more.end());
  }
  return reply;
}

void expect_not_mapped(const std::vector<std::byte>& reply, const std::vector<int>& descriptors,
                       const char* what) {
  LyingServer server(reply, descriptors);
  const auto table = EmulatedGrantTable::open(server.path()).value();
  const std::array refs{GrantRef{8}};
  const auto mapped = table->map(DomId{1}, refs, Access::kReadOnly);
  ASSERT_FALSE(mapped) << what;
  EXPECT_EQ(mapped.error().code, Errc::kPeer) << what << ": " << mapped.error().what;
}

TEST(LyingHost, B40_AMapperDemandsTheSealsItself) {
  const UniqueFd unsealed = make_memfd(kPageSize, 0);
  const UniqueFd may_shrink = make_memfd(kPageSize, F_SEAL_GROW | F_SEAL_SEAL);
  const UniqueFd good = make_memfd(kPageSize, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
  expect_not_mapped(map_reply(1, {{0, 0}}), {unsealed.get()}, "unsealed");
  expect_not_mapped(map_reply(1, {{0, 0}}), {may_shrink.get()}, "may shrink");
  expect_not_mapped(map_reply(1, {{0, 1}}), {good.get()}, "a page past its end");
  expect_not_mapped(map_reply(1, {{0, 0xffffffff}}), {good.get()}, "far past its end");
}

TEST(LyingHost, AnswersThatMakeNoSenseAreRefused) {
  const UniqueFd good = make_memfd(kPageSize, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
  expect_not_mapped(map_reply(1, {{1, 0}}), {good.get()}, "a descriptor that is not there");
  expect_not_mapped(map_reply(1, {{wire::kRefused, 0}}), {good.get()}, "refused, but a map");
  expect_not_mapped(map_reply(2, {{0, 0}}), {good.get()}, "fewer descriptors than said");
  expect_not_mapped(map_reply(0, {{0, 0}}), {}, "none");
  expect_not_mapped(map_reply(1, {{0, 0}, {0, 0}}), {good.get()}, "two pages for one");
  expect_not_mapped(map_reply(1, {}), {good.get()}, "no page for one");
  expect_not_mapped(bytes_of(le32(0)), {}, "short");
  expect_not_mapped(std::vector<std::byte>(2), {}, "shorter than a status");
  expect_not_mapped(bytes_of(le32(999)), {}, "a status of its own");
  expect_not_mapped(std::vector<std::byte>(5000), {}, "too long");
}

}  // namespace
}  // namespace splitring
