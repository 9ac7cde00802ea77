// An EmulatedStoreServer with a thread that serves it, and its sockets in a folder of their own.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <thread>

#include "base/unique_fd.h"
#include "xenbus/emulated_store_server.h"
#include "xenbus/store.h"

namespace splitring::test {

class ServedStore {
 public:
  // Domain 0 and `domains` are introduced and have sockets.
  explicit ServedStore(std::initializer_list<uint16_t> domains = {},
                       const StoreLimits& limits = {});
  ~ServedStore() { stop(); }

  // On the serving thread; returns when it is done.
  void run(const std::function<void(EmulatedStoreServer&)>& body);
  void introduce(uint16_t domain);
  void release(uint16_t domain);
  // The server goes away, as when its process ends.
  void stop();

  [[nodiscard]] std::filesystem::path socket(uint16_t domain) const;
  // A client of its own, through libxenstore.
  [[nodiscard]] std::unique_ptr<Store> open(uint16_t domain) const;

 private:
  void serve();

  std::filesystem::path folder_;
  std::unique_ptr<EmulatedStoreServer> server_;
  std::function<void(EmulatedStoreServer&)> body_;
  UniqueFd wake_;
  UniqueFd done_;
  bool stopping_ = false;
  std::thread thread_;
};

// Polls until there is an event. Fails the test and gives an empty one after long.
StoreEvent wait_event(Store& store);

}  // namespace splitring::test
