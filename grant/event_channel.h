// A doorbell between two domains.
//
// Signals coalesce: one wake-up means "look at the ring", not "one request". A channel has one
// owner thread, except that notify() may be called from any thread.
//
// Life of a port (Xen's event_channel.c): offered ports wait unbound for one domain; when the
// other side closes or dies, the port becomes unbound again with the same remote domain and can be
// bound again by a new process of it. Notifying an unbound port does nothing and is no error.
#pragma once

#include "base/result.h"
#include "grant/types.h"

namespace splitring {

class EventChannel {
 public:
  virtual ~EventChannel() = default;

  // Our end's number: the one that a frontend writes in its event-channel node.
  [[nodiscard]] virtual Port port() const = 0;
  // Readable while a signal is pending. Poll it; do not read it.
  [[nodiscard]] virtual int fd() const = 0;
  virtual Result<> notify() = 0;
  // Consumes what is pending and lets the next signal through. Call it when fd() is readable and
  // before looking at the ring. Never blocks; without a pending signal it does nothing.
  virtual Result<> acknowledge() = 0;
};

}  // namespace splitring
