// The seam of the HTTP engine: who answers a request.
//
// A server asks an ordered list of sources; the first one that takes the request answers it, now or
// later, exactly once, on the thread that asked. Each thread has sources of its own (made by the
// factory that the server is given), so nothing in a source needs a lock but what its threads share
// on purpose.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "tools/kiosk/http/prepared.h"
#include "tools/kiosk/http/request.h"
#include "tools/kiosk/http/request_body.h"
#include "tools/kiosk/http/response.h"
#include "tools/kiosk/http/web_socket.h"

namespace splitring::http {

class Exchange;
class Loop;
struct WorkerMetrics;

// A body that is not in memory at once. One thread, the connection's.
class BodyStream {
 public:
  // Precondition: nothing that next() started is under way.
  virtual ~BodyStream() = default;
  // The client has taken what came before: bring more, now or later, by exactly one call of
  // exchange.give() or exchange.abort().
  virtual void next(Exchange& exchange) = 0;
};

// One request that is being answered. A source that takes a request keeps the reference until it
// has called send() or upgrade(), whatever happens to the client meanwhile; the request itself only
// until serve() returns.
class Exchange {
 public:
  virtual ~Exchange() = default;
  [[nodiscard]] virtual Loop& loop() = 0;

  virtual void send(Response response) = 0;
  // A whole response, for GET over and over.
  virtual void send(PreparedRef response) = 0;
  // `response` without body; `length` bytes follow from the stream.
  virtual void send(Response response, uint64_t length, std::unique_ptr<BodyStream> body) = 0;
  // Ends HTTP on this connection. Precondition: accepts_web_socket(request).
  virtual void upgrade(const Request& request, std::unique_ptr<WebSocketHandler> handler) = 0;

  // Reads the request's body, if it announces one, and then calls `then` with it, now or later; the
  // source answers after that. If it does not come, is malformed or longer than `most`, the client
  // is told so, if it is still there, `then` goes uncalled, and nothing is owed any more.
  // Precondition: within serve_change().
  using BodyThen = std::function<void(RequestBody body)>;
  virtual void take_body(uint64_t most, BodyThen then) = 0;

  // For a BodyStream. The bytes stay as they are until its next() is called, or it goes.
  virtual void give(std::span<const std::byte> bytes) = 0;
  // The body cannot be brought: the client learns by a short one. A stream that learns so by other
  // means than its next() may say it at any time from its first give() on, once.
  virtual void abort() = 0;
};

class Source {
 public:
  virtual ~Source() = default;
  // False: not mine, ask the next one. `request` is GET or HEAD.
  virtual bool serve(const Request& request, Exchange& exchange) = 0;
  // The same for PUT and DELETE.
  virtual bool serve_change(const Request& /*request*/, Exchange& /*exchange*/) { return false; }
  // The loop has ended: answer what is still owed before returning. All clients are gone.
  virtual void drain() {}
};

// Makes one thread's sources, in the order in which they are asked. Called before that thread
// starts; they go on the thread.
using SourceFactory = std::function<std::vector<std::unique_ptr<Source>>(Loop&, WorkerMetrics&)>;

// Pages that a function makes for each request, by path. Shared by all threads, which call the
// functions at the same time. Fill it before the server starts.
class Pages {
 public:
  using Page = std::function<Response(const Request&)>;
  using SocketPage = std::function<std::unique_ptr<WebSocketHandler>(const Request&, Loop&)>;

  // `path` exactly; one that ends in '/': everything below it too, where no longer one fits.
  void add(std::string path, Page page);
  // The same for a WebSocket; a client that asks for no upgrade gets 426.
  void add_socket(std::string path, SocketPage page);

  // A source for one thread. The pages outlive it.
  [[nodiscard]] std::unique_ptr<Source> source() const;

 private:
  friend class PageSource;
  struct Route {
    std::string path;
    Page page;
    SocketPage socket;
  };
  [[nodiscard]] const Route* find(std::string_view path) const;

  std::vector<Route> routes_;
};

}  // namespace splitring::http
