#include "tests/support/xenbus/store_conversation.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <utility>

namespace splitring::test {

namespace {

std::string spaced(std::string text) {
  std::ranges::replace(text, '\0', ' ');
  return text;
}

}  // namespace

std::string wire(std::initializer_list<std::string_view> strings) {
  std::string bytes;
  for (const std::string_view each : strings) (bytes += each) += '\0';
  return bytes;
}

std::string StoreConversation::ask(StoreMessage type, std::string_view payload,
                                   uint32_t transaction) {
  std::string frame;
  append_frame(frame, type, 7, transaction, payload);
  session_.receive(frame);
  hear();
  if (session_.closed()) return "closed";
  EXPECT_EQ(answers_.size(), 1U);
  return answers_.empty() ? "nothing" : std::exchange(answers_, {}).front();
}

std::string StoreConversation::read(std::string_view path, uint32_t transaction) {
  return ask(StoreMessage::kRead, wire({path}), transaction);
}

std::string StoreConversation::write(std::string_view path, std::string_view value,
                                     uint32_t transaction) {
  return spaced(ask(StoreMessage::kWrite, wire({path}).append(value), transaction));
}

std::string StoreConversation::make_directory(std::string_view path, uint32_t transaction) {
  return spaced(ask(StoreMessage::kMakeDirectory, wire({path}), transaction));
}

std::string StoreConversation::remove(std::string_view path, uint32_t transaction) {
  return spaced(ask(StoreMessage::kRemove, wire({path}), transaction));
}

std::string StoreConversation::list(std::string_view path, uint32_t transaction) {
  return spaced(ask(StoreMessage::kDirectory, wire({path}), transaction));
}

std::string StoreConversation::permissions(std::string_view path, uint32_t transaction) {
  return spaced(ask(StoreMessage::kGetPermissions, wire({path}), transaction));
}

std::string StoreConversation::set_permissions(std::string_view path,
                                               const std::vector<std::string>& permissions,
                                               uint32_t transaction) {
  std::string payload = wire({path});
  for (const std::string& each : permissions) payload += wire({each});
  return spaced(ask(StoreMessage::kSetPermissions, payload, transaction));
}

std::string StoreConversation::watch(std::string_view path, std::string_view token) {
  return spaced(ask(StoreMessage::kWatch, wire({path, token})));
}

uint32_t StoreConversation::begin() {
  return static_cast<uint32_t>(
      std::stoul(ask(StoreMessage::kTransactionStart, std::string(1, '\0'))));
}

std::string StoreConversation::commit(uint32_t transaction) {
  return spaced(ask(StoreMessage::kTransactionEnd, wire({"T"}), transaction));
}

std::string StoreConversation::abort(uint32_t transaction) {
  return spaced(ask(StoreMessage::kTransactionEnd, wire({"F"}), transaction));
}

std::vector<std::string> StoreConversation::events() {
  hear();
  return std::exchange(events_, {});
}

void StoreConversation::hear() {
  for (auto output = session_.output(); !output.empty(); output = session_.output()) {
    heard_.feed(output);
    session_.sent(output.size());
  }
  for (auto frame = heard_.next().value(); frame; frame = heard_.next().value()) {
    if (frame->type == StoreMessage::kWatchEvent) {
      std::string event = spaced(frame->payload);
      event.pop_back();
      events_.push_back(std::move(event));
      continue;
    }
    EXPECT_EQ(frame->request_id, 7U);
    if (frame->type == StoreMessage::kError) {
      frame->payload.pop_back();
      answers_.push_back("error " + frame->payload);
    } else {
      answers_.push_back(frame->payload);
    }
  }
}

}  // namespace splitring::test
