#include "tests/support/xenbus/served_store.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/eventfd.h>

#include <cstdlib>

#include "xenbus/xen_store.h"

namespace splitring::test {

namespace {

constexpr int kPatienceMs = 60'000;  // only a broken test waits so long

UniqueFd make_eventfd() { return UniqueFd(eventfd(0, EFD_CLOEXEC)); }
void signal(const UniqueFd& fd) { EXPECT_EQ(eventfd_write(fd.get(), 1), 0); }
void wait(const UniqueFd& fd) {
  eventfd_t count;
  EXPECT_EQ(eventfd_read(fd.get(), &count), 0);
}

}  // namespace

ServedStore::ServedStore(std::initializer_list<uint16_t> domains, const StoreLimits& limits)
    : wake_(make_eventfd()), done_(make_eventfd()) {
  std::string folder = std::filesystem::temp_directory_path() / "store-XXXXXX";
  EXPECT_NE(mkdtemp(folder.data()), nullptr);
  folder_ = folder;
  server_ = std::move(EmulatedStoreServer::create(limits)).value();
  EXPECT_TRUE(server_->listen(DomId{0}, socket(0)));
  for (const uint16_t domain : domains) {
    EXPECT_TRUE(server_->introduce(DomId{domain}));
    EXPECT_TRUE(server_->listen(DomId{domain}, socket(domain)));
  }
  thread_ = std::thread([this] { serve(); });
}

void ServedStore::run(const std::function<void(EmulatedStoreServer&)>& body) {
  body_ = body;
  signal(wake_);
  wait(done_);
}

void ServedStore::introduce(uint16_t domain) {
  run([&](EmulatedStoreServer& server) {
    EXPECT_TRUE(server.introduce(DomId{domain}));
    EXPECT_TRUE(server.listen(DomId{domain}, socket(domain)));
  });
}

void ServedStore::release(uint16_t domain) {
  run([&](EmulatedStoreServer& server) { EXPECT_TRUE(server.release(DomId{domain})); });
}

void ServedStore::stop() {
  if (!thread_.joinable()) return;
  run([this](EmulatedStoreServer&) {
    server_.reset();
    stopping_ = true;
  });
  thread_.join();
  std::filesystem::remove_all(folder_);
}

std::filesystem::path ServedStore::socket(uint16_t domain) const {
  return folder_ / std::to_string(domain);
}

std::unique_ptr<Store> ServedStore::open(uint16_t domain) const {
  auto store = open_xen_store(socket(domain));
  if (!store) ADD_FAILURE() << store.error().what;
  return std::move(store).value();
}

void ServedStore::serve() {
  while (!stopping_) {
    pollfd sources[] = {{wake_.get(), POLLIN, 0}, {server_->fd(), POLLIN, 0}};
    EXPECT_GT(poll(sources, 2, -1), 0);
    if (sources[1].revents != 0) server_->process();
    if (sources[0].revents == 0) continue;
    wait(wake_);
    body_(*server_);
    signal(done_);
  }
}

StoreEvent wait_event(Store& store) {
  for (;;) {
    if (auto event = store.next_event()) return *event;
    pollfd source{store.fd(), POLLIN, 0};
    if (poll(&source, 1, kPatienceMs) > 0) continue;
    ADD_FAILURE() << "no event came";
    return {};
  }
}

}  // namespace splitring::test
