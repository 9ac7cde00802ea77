// One client: heads in, answers out, one after the other for as long as both sides like.
//
// A step machine: step() does what the state allows and says whether there may be more to do; every
// event, answer and timer ends in run(). What is read lies in the thread's buffer and is taken
// apart there; only what is left when the connection has to wait is kept, so an idle one holds no
// buffer.
//
// Time limits (H2): one for a whole head, counted from its first byte; one between requests; one
// for every kProgressBytes that the client takes, or sends of a body. A client that breaks the
// framing gets its status and is closed.
//
// A connection that dies while a source owes it an answer stays until that has come. It is deleted
// between two turns of the loop, so whoever calls it may go on using what it holds.
//
// One thread, the loop's.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tools/kiosk/http/access_log.h"
#include "tools/kiosk/http/body_decoder.h"
#include "tools/kiosk/http/head_parser.h"
#include "tools/kiosk/http/loop.h"
#include "tools/kiosk/http/metrics.h"
#include "tools/kiosk/http/response_head.h"
#include "tools/kiosk/http/source.h"
#include "tools/kiosk/http/transport.h"

namespace splitring::http {

class Connection;

// What a client must take of an answer, or send of a body, within the time limit, again and again.
inline constexpr size_t kProgressBytes = size_t{16} << 10;

// What the connections of one thread share. Outlives them.
struct ThreadContext {
  Loop& loop;
  WorkerMetrics& metrics;
  std::chrono::seconds timeout;
  const AccessLog* log = nullptr;  // null: no log is kept

  std::vector<std::unique_ptr<Source>> sources = {};
  std::string log_lines = {};  // not written yet
  HeadParser parser = {};
  std::shared_ptr<BodyBudget> bodies = std::make_shared<BodyBudget>();
  std::vector<char> input = std::vector<char>(4 * kMaxHeadBytes);
  std::vector<std::unique_ptr<Connection>> open = {};
  std::vector<std::unique_ptr<Connection>> dead = {};  // to be deleted at the end of the turn
  bool stopping = false;
};

class Connection final : public Loop::Watcher, private Exchange, private WebSocket {
 public:
  // Adds itself to context.open.
  static void start(Transport transport, std::string client, ThreadContext& context);
  ~Connection() override;

  // Ends it after the answer at hand; at once if there is none, or if `now`.
  void stop(bool now);
  // Closes it if it has been too slow.
  void check_time();

  void on_ready(uint32_t events) override;

 private:
  using Clock = Loop::Clock;
  enum class State : uint8_t {
    kHead,     // reading a head, or waiting for one
    kBody,     // reading one for a source, which is owed nothing meanwhile
    kWaiting,  // for a source
    kWriting,
    kSocket,  // upgraded
    kLinger,  // said its last word; reads on so that the client sees it, and not a reset
    kDead,
  };
  struct Incoming {
    BodyDecoder decoder;
    uint64_t most;
    BodyThen then;
    RequestBody body;
    bool keep_alive;  // behind it
  };
  struct Upgraded {
    std::unique_ptr<WebSocketHandler> handler;
    FrameReader frames;
    std::string out;
    size_t sent = 0;
    bool is_open = false;
    bool is_closing = false;  // our close frame is on its way: nothing may follow it
    bool awaits_pong = false;
  };

  Connection(Transport transport, std::string client, ThreadContext& context)
      : transport_(std::move(transport)), client_(std::move(client)), context_(context) {}

  void run();
  bool step();
  bool read_head();
  bool receive();
  bool serve();
  bool refuse(unsigned status);
  bool read_body();
  bool write_continue();
  bool keep_of_body(std::string_view data);
  bool refuse_body(unsigned status);
  bool body_is_whole();
  IoOutcome write_pieces();
  bool write_some();
  bool finish();
  bool linger();
  void die();
  void keep_rest_of_head();
  void account();
  void arm() { due_ = context_.loop.now() + context_.timeout; }
  void disarm() { due_ = Clock::time_point::max(); }
  [[nodiscard]] Persistence persistence() const;
  void begin_answer(ResponseHead head, unsigned status);
  void answer(ResponseHead head, std::string_view body, unsigned status);
  void start_writing();

  // Exchange
  Loop& loop() override { return context_.loop; }
  void send(Response response) override;
  void send(PreparedRef response) override;
  void send(Response response, uint64_t length, std::unique_ptr<BodyStream> body) override;
  void upgrade(const Request& request, std::unique_ptr<WebSocketHandler> handler) override;
  void take_body(uint64_t most, BodyThen then) override;
  void give(std::span<const std::byte> bytes) override;
  void abort() override;

  // WebSocket
  void send_text(std::string_view text) override;
  [[nodiscard]] size_t waiting_bytes() const override;
  void close() override { close_socket(1000); }
  bool run_socket();
  bool read_socket();
  bool flush_socket();
  void take_messages();
  void send_frame(Opcode opcode, std::string_view payload);
  void close_socket(uint16_t code);

  Transport transport_;
  std::string client_;
  ThreadContext& context_;
  size_t place_ = 0;  // in context_.open

  State state_ = State::kHead;
  bool running_ = false;
  bool readable_ = true;
  bool writable_ = true;
  bool has_hung_up_ = false;  // the client sends no more
  bool is_awaited_ = false;   // a source or stream owes a call
  bool head_begun_ = false;   // some of a head is there
  bool keep_alive_ = true;
  bool is_head_ = false;
  bool is_http_10_ = false;
  unsigned status_ = 0;  // of the answer at hand

  std::string_view unread_;  // within run(); between runs it is `kept_`
  std::string kept_;
  size_t scanned_ = 0;

  std::string_view first_;  // still to be written, in this order
  std::string_view second_;
  std::string text_;  // where a head lies that is not prepared, and a body that a source made
  PreparedRef prepared_;
  std::unique_ptr<BodyStream> stream_;
  uint64_t stream_left_ = 0;
  uint64_t sent_ = 0;  // of this answer
  uint64_t head_bytes_ = 0;
  size_t progress_ = 0;
  size_t lingered_ = 0;
  std::unique_ptr<Incoming> incoming_;
  std::string request_line_;  // for the log
  Clock::time_point begun_;
  Clock::time_point due_ = Clock::time_point::max();
  std::unique_ptr<Upgraded> upgraded_;
};

}  // namespace splitring::http
