#include "tools/kiosk/http/server.h"

#include <gtest/gtest.h>

#include <condition_variable>
#include <future>
#include <mutex>
#include <optional>

#include "tests/support/tools/served.h"
#include "tools/kiosk/http/loop.h"

namespace splitring::http {
namespace {

using test::RawClient;
using test::Served;

class Echo final : public WebSocketHandler {
 public:
  explicit Echo(std::promise<void>& closed) : closed_(closed) {}
  void on_open(WebSocket& socket) override {
    socket_ = &socket;
    socket.send_text("hello");
  }
  void on_text(std::string_view text) override {
    if (text == "bye")
      socket_->close();
    else
      socket_->send_text(text);
  }
  void on_close() override { closed_.set_value(); }

 private:
  std::promise<void>& closed_;
  WebSocket* socket_ = nullptr;
};

// What was asked for "/late", for the test's thread.
class Asked {
 public:
  struct Request {
    Loop* loop = nullptr;
    Exchange* exchange = nullptr;
    void answer(const char* text) const {
      loop->post([to = exchange, text] { to->send(fresh_page("text/plain", text)); });
    }
  };
  void put(Request request) {
    const std::lock_guard lock(mutex_);
    request_ = request;
    changed_.notify_one();
  }
  Request take() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return request_.has_value(); });
    return *std::exchange(request_, std::nullopt);
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::optional<Request> request_;
};

class Late final : public Source {
 public:
  Late(Loop& loop, Asked& asked) : loop_(loop), asked_(asked) {}
  bool serve(const Request& request, Exchange& exchange) override {
    if (request.path != "/late") return false;
    asked_.put({&loop_, &exchange});
    return true;
  }

 private:
  Loop& loop_;
  Asked& asked_;
};

// Stores nothing: answers a PUT below /put/ with what it was sent, up to a mebibyte.
class Taker final : public Source {
 public:
  bool serve(const Request&, Exchange&) override { return false; }
  bool serve_change(const Request& request, Exchange& exchange) override {
    if (!request.path.starts_with("/put/")) return false;
    if (request.path == "/put/unread") {
      exchange.send(fresh_page("text/plain", "no, thanks"));
      return true;
    }
    exchange.take_body(uint64_t{1} << 20, [&exchange](const RequestBody& body) {
      std::string text(body.size(), '\0');
      const auto read = body.read(0, std::as_writable_bytes(std::span(text)));
      exchange.send(fresh_page("text/plain", read ? "<" + text + ">" : read.error().what));
    });
    return true;
  }
};

class HttpServer : public testing::Test {
 protected:
  HttpServer() {
    pages_.add("/one", [](const Request&) { return fresh_page("text/plain", "1"); });
    pages_.add("/below/", [](const Request& r) {
      return fresh_page("text/plain", std::string(r.path) + std::string(r.query));
    });
    pages_.add_socket("/socket", [this](const Request&, Loop&) {
      return std::make_unique<Echo>(socket_closed_);
    });
  }
  SourceFactory factory() {
    return [this](Loop& loop, WorkerMetrics&) {
      std::vector<std::unique_ptr<Source>> sources;
      sources.push_back(std::make_unique<Late>(loop, asked_));
      sources.push_back(std::make_unique<Taker>());
      sources.push_back(pages_.source());
      return sources;
    };
  }
  static std::string get(const std::string& target, const std::string& headers = "") {
    return "GET " + target + " HTTP/1.1\r\nHost: x\r\n" + headers + "\r\n";
  }
  static std::string put(const std::string& target, const std::string& headers) {
    return "PUT " + target + " HTTP/1.1\r\nHost: x\r\n" + headers + "\r\n";
  }
  static constexpr auto kChunked = "Transfer-Encoding: chunked\r\n";
  static constexpr auto kClose = "Connection: close\r\n";
  static std::string frame(unsigned first_byte, std::string_view payload) {
    std::string text(1, static_cast<char>(first_byte));
    text += static_cast<char>(0x80 | payload.size());
    return text + std::string(4, '\0') + std::string(payload);  // masked with zeroes
  }
  static std::string upgrade(const std::string& target) {
    return get(target,
               "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
               "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n");
  }

  Pages pages_;
  std::promise<void> socket_closed_;
  Asked asked_;
};

TEST_F(HttpServer, AnswersPipelinedRequestsInOrder) {
  Served served(factory());
  RawClient client(served);
  client.send(get("/one") + get("/below/x%20y?z") + get("/nowhere") + get("/one", kClose));
  const std::string all = client.receive_all();
  size_t at = 0;
  for (const char* part :
       {"200 OK", "\r\n\r\n1", "/below/x y?z", "404 Not Found", "close", "\r\n\r\n1"}) {
    at = all.find(part, at);
    ASSERT_NE(at, std::string::npos) << part << "\n" << all;
  }
}

TEST_F(HttpServer, ARequestMayArriveByteByByte) {
  Served served(factory());
  RawClient client(served);
  for (const char c : get("/one")) client.send({&c, 1});
  EXPECT_NE(client.receive_until("\r\n\r\n1").find("200 OK"), std::string::npos);
}

TEST_F(HttpServer, AnAnswerMayComeLaterAndForAClientThatHasGone) {
  Served served(factory());
  Asked::Request gone;
  {
    RawClient client(served);
    client.send(get("/late"));
    asked_.take().answer("late");
    EXPECT_NE(client.receive_until("late").find("200 OK"), std::string::npos);
    client.send(get("/late"));
    gone = asked_.take();
  }
  RawClient other(served);
  other.send(get("/late", kClose));
  gone.answer("nobody reads this");
  asked_.take().answer("other");
  EXPECT_NE(other.receive_all().find("other"), std::string::npos);
}

TEST_F(HttpServer, TakesABodyOfEitherFramingAndGoesOnBehindIt) {
  Served served(factory());
  RawClient client(served);
  client.send(put("/put/a", "Content-Length: 5\r\n") + "hello" + put("/put/b", kChunked) +
              "3;x=y\r\nabc\r\n0A\r\n0123456789\r\n0\r\nLast: field\r\n\r\n" +
              put("/put/c", "Content-Length: 0\r\n") + put("/put/d", "") + get("/one", kClose));
  const std::string all = client.receive_all();
  size_t at = 0;
  for (const char* part : {"<hello>", "<abc0123456789>", "<>", "<>", "\r\n\r\n1"}) {
    at = all.find(part, at);
    ASSERT_NE(at, std::string::npos) << part << "\n" << all;
  }
}

TEST_F(HttpServer, ABodyMayArriveByteByByteAndBeLargerThanMemoryIsGivenToIt) {
  Served served(factory());
  RawClient client(served);
  for (const char c : put("/put/a", kChunked) + "4\r\nslow\r\n0\r\n\r\n") client.send({&c, 1});
  EXPECT_NE(client.receive_until("<slow>").find("200 OK"), std::string::npos);
  std::string large(kBodyInMemory + 100'000, 'x');
  large.back() = 'y';
  client.send(put("/put/b", "Content-Length: " + std::to_string(large.size()) + "\r\n") + large);
  const std::string answer = client.receive_until("y>");
  EXPECT_NE(answer.find("<" + large + ">"), std::string::npos);
}

TEST_F(HttpServer, AClientThatWaitsToBeAskedForItsBodyIsAsked) {
  Served served(factory());
  RawClient client(served);
  client.send(put("/put/a", "Content-Length: 2\r\nExpect: 100-continue\r\n"));
  EXPECT_EQ(client.receive_until("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
  client.send("ok");
  EXPECT_NE(client.receive_until("<ok>").find("200 OK"), std::string::npos);
  // Not if it is too long.
  client.send(put("/put/a", "Content-Length: 1048577\r\nExpect: 100-continue\r\n"));
  EXPECT_TRUE(client.receive_until("\r\n").starts_with("HTTP/1.1 413 "));
}

TEST_F(HttpServer, H3_ABodyThatIsMalformedTooLongOrUnreadEndsTheConnection) {
  Served served(factory());
  const std::string smuggled = get("/one");
  const std::string mebibyte(1 << 20, 'x');
  for (const auto& [status, raw] :
       {std::pair<const char*, std::string>{"400", put("/put/a", kChunked) + "zz\r\n"},
        {"400", put("/put/a", kChunked) + "5\nhello\r\n0\r\n\r\n"},
        {"400", put("/put/a", kChunked) + "5\r\nhelloX\r\n0\r\n\r\n"},
        {"400", put("/put/a", kChunked) + "10000000000000000\r\n"},
        {"400", put("/put/a", kChunked) + "-5\r\n"},
        {"400", put("/put/a", kChunked) + "0\r\n" + std::string(300, 'x')},
        {"413", put("/put/a", kChunked) + "100000\r\n" + mebibyte + "\r\n1\r\nx\r\n"},
        {"413", put("/put/a", kChunked) + "ffffffffffffffff\r\n" + mebibyte + "x"},
        {"413", put("/put/a", "Content-Length: 18446744073709551615\r\n")},
        {"200", put("/put/unread", "Content-Length: 5\r\n") + "hello"},
        {"405", put("/one", "Content-Length: 5\r\n") + "hello"},
        {"413", "DELETE /put/a HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello"}}) {
    RawClient client(served);
    client.send(raw + smuggled);
    const std::string answer = client.receive_all();
    EXPECT_TRUE(answer.starts_with(std::string("HTTP/1.1 ") + status)) << raw.substr(0, 80);
    EXPECT_EQ(answer.find("HTTP/1.1 ", 1), std::string::npos) << raw.substr(0, 80);
    EXPECT_NE(answer.find("Connection: close"), std::string::npos) << raw.substr(0, 80);
  }
}

TEST_F(HttpServer, ABodyWhoseClientHasGoneIsForgotten) {
  Served served(factory());
  {
    RawClient client(served);
    client.send(put("/put/a", "Content-Length: 500000\r\nExpect: 100-continue\r\n"));
    (void)client.receive_until("\r\n\r\n");
    client.send(std::string(400'000, 'x'));
  }
  RawClient other(served);
  other.send(get("/one", kClose));
  EXPECT_NE(other.receive_all().find("200 OK"), std::string::npos);
}

TEST_F(HttpServer, AWebSocketEchoesPingsAndCloses) {
  Served served(factory());
  RawClient client(served);
  client.send(get("/socket"));
  EXPECT_NE(client.receive_until("</html>").find("426 Upgrade Required"), std::string::npos);
  (void)client.receive_until("\n");
  client.send(upgrade("/socket") + frame(0x81, "ahead"));
  const std::string head = client.receive_until("\r\n\r\n");
  EXPECT_NE(head.find("101 Switching Protocols"), std::string::npos);
  EXPECT_NE(head.find("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"), std::string::npos);
  EXPECT_EQ(client.receive(14),
            "\x81\x05hello\x81\x05"
            "ahead");
  client.send(frame(0x89, "p"));
  EXPECT_EQ(client.receive(3), "\x8a\x01p");
  client.send(frame(0x81, "bye"));
  EXPECT_EQ(client.receive_all(), "\x88\x02\x03\xe8");
  socket_closed_.get_future().get();
}

TEST_F(HttpServer, H3_AWebSocketThatBreaksTheRulesIsClosedWithTheReason) {
  Served served(factory());
  RawClient client(served);
  client.send(upgrade("/socket"));
  (void)client.receive_until("hello");
  client.send("\x81\x01x");  // not masked
  EXPECT_EQ(client.receive_all(), "\x88\x02\x03\xea");
}

TEST_F(HttpServer, StopsWhenTheLastAnswerIsSent) {
  Served served(factory());
  RawClient idle(served);
  RawClient socket(served);
  RawClient late(served);
  socket.send(upgrade("/socket"));
  (void)socket.receive_until("hello");
  late.send(get("/late") + get("/one"));
  const Asked::Request request = asked_.take();
  served.ask_to_stop();
  EXPECT_EQ(idle.receive_all(), "");
  EXPECT_EQ(socket.receive_all(), "\x88\x02\x03\xe9") << "going away";
  request.answer("late");
  const std::string answer = late.receive_all();
  EXPECT_NE(answer.find("Connection: close"), std::string::npos);
  EXPECT_TRUE(answer.ends_with("late")) << "and no other request is begun";
  served.stop();
}

TEST(HttpListen, AddressesThatAreNoneAreRefused) {
  Metrics metrics;
  const SourceFactory none = [](Loop&, WorkerMetrics&) {
    return std::vector<std::unique_ptr<Source>>();
  };
  for (const char* address : {"", "8080", "localhost:80", "1.2.3.4", "1.2.3.4:", "1.2.3.4:65536",
                              "1.2.3.4:-1", "[::1]", "1.2.3:x"}) {
    const auto server = Server::open({.listen = address}, none, metrics);
    ASSERT_FALSE(server) << address;
    EXPECT_EQ(server.error().code, Errc::kInvalid) << address;
  }
}

}  // namespace
}  // namespace splitring::http
