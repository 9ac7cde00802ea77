// A client of a StoreService without sockets: says requests, and keeps what it hears apart.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "xenbus/store.h"
#include "xenbus/store_session.h"
#include "xenbus/store_wire.h"

namespace splitring::test {

// Strings as they travel: each with its terminator.
std::string wire(std::initializer_list<std::string_view> strings);

class StoreConversation {
 public:
  StoreConversation(StoreService& service, uint16_t domain) : session_(service, DomId{domain}) {}

  // The payload of the answer, or the name of the error behind "error ".
  std::string ask(StoreMessage type, std::string_view payload, uint32_t transaction = 0);

  // The same for the usual payloads.
  std::string read(std::string_view path, uint32_t transaction = 0);
  std::string write(std::string_view path, std::string_view value, uint32_t transaction = 0);
  std::string make_directory(std::string_view path, uint32_t transaction = 0);
  std::string remove(std::string_view path, uint32_t transaction = 0);
  // Names, or permissions, with a space behind each.
  std::string list(std::string_view path, uint32_t transaction = 0);
  std::string permissions(std::string_view path, uint32_t transaction = 0);
  std::string set_permissions(std::string_view path, const std::vector<std::string>& permissions,
                              uint32_t transaction = 0);
  std::string watch(std::string_view path, std::string_view token);
  uint32_t begin();
  std::string commit(uint32_t transaction);
  std::string abort(uint32_t transaction);

  // "path token" of each event heard since the last call.
  std::vector<std::string> events();

  [[nodiscard]] StoreSession& session() { return session_; }

 private:
  void hear();

  StoreSession session_;
  StoreFrameReader heard_;
  std::vector<std::string> answers_;
  std::vector<std::string> events_;
};

}  // namespace splitring::test
