// One client's conversation with the store server: bytes in, bytes out. Pure; not thread-safe. Its
// service must outlive it.
//
// Bounds: while more than `output_bytes` of answers wait to be sent, no request is answered and no
// event is put among them; a caller that asks wants_input() before it reads therefore holds at most
// what it fed at once. What waits of events is bounded by StoreEventQueue (X5).
//
// A frame that announces too much ends the session (X1): it hears nothing more and says nothing
// more, and nobody else notices (X10).
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "xenbus/store_event_queue.h"
#include "xenbus/store_service.h"
#include "xenbus/store_wire.h"

namespace splitring {

class StoreSession {
 public:
  // Precondition: `domain` is introduced.
  StoreSession(StoreService& service, DomId domain);
  ~StoreSession() { close(); }
  StoreSession(const StoreSession&) = delete;
  StoreSession& operator=(const StoreSession&) = delete;

  // Answers the requests that are complete.
  void receive(std::string_view bytes);
  [[nodiscard]] bool wants_input() const;

  // What to send next, events included. Valid until the next call.
  [[nodiscard]] std::string_view output();
  // The first `bytes` of output() are sent; goes on with requests that had to wait for that.
  void sent(size_t bytes);

  // Ends transactions and watches; there is no way back.
  void close();
  [[nodiscard]] bool closed() const { return closed_; }

  [[nodiscard]] DomId domain() const { return domain_; }
  [[nodiscard]] const StoreEventQueue& events() const { return events_; }

 private:
  friend class StoreRequests;

  void run();
  void answer(const StoreFrame& request);
  void put_events();

  StoreService& service_;
  DomId domain_;
  bool closed_ = false;
  StoreFrameReader input_;
  std::string output_;
  size_t sent_ = 0;  // of output_
  StoreEventQueue events_;
  uint32_t last_transaction_ = 0;
  std::map<uint32_t, StoreTransaction*> transactions_;
};

}  // namespace splitring
