#include "tests/support/backend/hand_guest.h"

#include <poll.h>

#include <stdexcept>

#include "tests/support/backend/live_backend.h"

namespace splitring::backend {
namespace {

constexpr int kPatienceMs = 60'000;

}  // namespace

HandGuest::HandGuest(std::unique_ptr<Host> guest_host, const DevicePath& device)
    : host(std::move(guest_host)),
      path(device),
      store_(must(host->open_store())),
      share_(must(host->open_grant_share())),
      data_(must(share_->share(device.backend, kDataPages, Access::kReadWrite))) {}

// Rings and data end before the handle that they came from.
HandGuest::~HandGuest() {
  rings.clear();
  data_.reset();
}

void HandGuest::make_rings(const RingShape& shape) {
  rings.clear();
  for (uint32_t i = 0; i < shape.queues; i++) {
    HandRing ring;
    ring.pages = must(share_->share(path.backend, shape.pages, Access::kReadWrite));
    ring.channel = must(host->offer_channel(path.backend));
    ring.frontend = HandFrontend::make(shape.abi, ring.pages->bytes());
    rings.push_back(std::move(ring));
  }
}

FrontendNodes HandGuest::nodes(const RingShape& shape) const {
  FrontendNodes nodes;
  nodes.protocol = blkif::to_string(shape.abi);
  nodes.persistent_grants = shape.persistent;
  for (const HandRing& ring : rings)
    nodes.queues.push_back(
        {{ring.pages->refs().begin(), ring.pages->refs().end()}, ring.channel->port()});
  return nodes;
}

void HandGuest::offer_rings(const RingShape& shape) {
  make_rings(shape);
  write_nodes(nodes(shape));
  set_state(XenbusState::kInitialised);
}

void HandGuest::write(const std::string& name, const std::string& value) {
  must(store_->now().write(path.frontend_directory() + "/" + name, value));
}

void HandGuest::remove(const std::string& name) {
  must(store_->now().remove(path.frontend_directory() + "/" + name));
}

void HandGuest::write_nodes(const FrontendNodes& nodes) {
  must(store_->transact(
      [&](StoreView& view) { return write_frontend(view, path.frontend_directory(), nodes); }));
}

void HandGuest::forget_nodes() {
  must(store_->transact(
      [&](StoreView& view) { return remove_frontend(view, path.frontend_directory()); }));
}

void HandGuest::push(const HandRequest& request, size_t ring) {
  rings.at(ring).frontend->push(request);
  if (rings.at(ring).frontend->publish()) must(rings.at(ring).channel->notify());
}

std::vector<HandAnswer> HandGuest::wait_for_answers(size_t count, size_t index) {
  HandRing& ring = rings.at(index);
  std::vector<HandAnswer> all;
  for (;;) {
    for (HandAnswer& answer : ring.frontend->answers()) all.push_back(std::move(answer));
    if (all.size() >= count) return all;
    pollfd entry{ring.channel->fd(), POLLIN, 0};
    if (::poll(&entry, 1, kPatienceMs) != 1) throw std::runtime_error("no answer from the ring");
    must(ring.channel->acknowledge());
  }
}

HandAnswer HandGuest::ask(const HandRequest& request, size_t ring) {
  push(request, ring);
  std::vector<HandAnswer> answers = wait_for_answers(1, ring);
  if (answers.size() != 1) throw std::runtime_error("more answers than requests");
  return answers.front();
}

blkif::Segment HandGuest::segment(uint32_t index, uint8_t first, uint8_t last) const {
  return {raw(data_->refs()[index]), first, last, 0};
}

std::span<std::byte> HandGuest::page(uint32_t index) const {
  return data_->bytes().subspan(size_t{index} * kPageSize, kPageSize);
}

}  // namespace splitring::backend
