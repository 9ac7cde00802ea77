#include "tools/kiosk/http/connection.h"

#include <sys/epoll.h>

#include <cstring>

#include "tools/kiosk/http/http_text.h"

namespace splitring::http {
namespace {

constexpr size_t kLingerBytes = size_t{4} << 20;
constexpr std::chrono::seconds kLingerTime{2};

}  // namespace

void Connection::start(Transport transport, std::string client, ThreadContext& context) {
  std::unique_ptr<Connection> made(
      new Connection(std::move(transport), std::move(client), context));
  Connection& connection = *made;
  connection.place_ = context.open.size();
  context.open.push_back(std::move(made));
  context.metrics.connections.add();
  connection.arm();
  if (!context.loop.watch(connection.transport_.fd(), EPOLLIN | EPOLLOUT | EPOLLRDHUP, connection))
    connection.die();
  connection.run();
}

Connection::~Connection() { context_.metrics.closed_connections.add(); }

void Connection::on_ready(uint32_t events) {
  constexpr uint32_t kOver = EPOLLRDHUP | EPOLLHUP | EPOLLERR;
  if ((events & kOver) != 0) has_hung_up_ = true;
  // Under TLS reading may wait for the socket to take something, and writing for it to bring.
  if ((events & (EPOLLIN | kOver)) != 0 || transport_.is_tls()) readable_ = true;
  if ((events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) != 0 || transport_.is_tls()) writable_ = true;
  run();
}

void Connection::run() {
  if (running_) return;
  running_ = true;
  unread_ = kept_;
  while (step()) {
  }
  // The thread's buffer is somebody else's from here on.
  if (unread_.empty())
    kept_ = {};
  else if (unread_.data() != kept_.data())
    kept_ = std::string(unread_);
  unread_ = {};
  running_ = false;
  if (state_ != State::kDead || is_awaited_ || place_ == SIZE_MAX) return;
  context_.open.back()->place_ = place_;
  std::swap(context_.open[place_], context_.open.back());
  context_.dead.push_back(std::move(context_.open.back()));
  context_.open.pop_back();
  place_ = SIZE_MAX;
}

bool Connection::step() {
  switch (state_) {
    case State::kHead: return read_head();
    case State::kBody: return read_body();
    case State::kWriting: return write_some();
    case State::kSocket: return run_socket();
    case State::kLinger: return linger();
    case State::kWaiting:
    case State::kDead: return false;
  }
  return false;
}

bool Connection::read_head() {
  if (!unread_.empty()) {
    const HeadParser::Outcome outcome = context_.parser.parse(unread_, scanned_);
    scanned_ = outcome.scanned;
    if (outcome.state == HeadParser::State::kRefused) return refuse(outcome.status);
    if (outcome.state == HeadParser::State::kHead) {
      unread_.remove_prefix(outcome.head_bytes);
      return serve();
    }
    if (!head_begun_) arm();
    head_begun_ = true;
  }
  return receive();
}

// Appends to what is unread, in the thread's buffer.
bool Connection::receive() {
  if (!readable_) return false;
  std::vector<char>& input = context_.input;
  const size_t kept = unread_.size();
  if (kept != 0) std::memmove(input.data(), unread_.data(), kept);
  const std::span<char> space = std::span(input).subspan(kept);
  const IoOutcome outcome = transport_.read(space);
  unread_ = {input.data(), kept};
  switch (outcome.state) {
    case IoState::kWouldBlock: readable_ = false; return false;
    case IoState::kClosed: die(); return false;
    case IoState::kDone:
      // A socket that gave less than was asked for is empty; its next byte is an event.
      if (outcome.bytes < space.size() && !transport_.is_tls() && !has_hung_up_) readable_ = false;
      unread_ = {input.data(), kept + outcome.bytes};
      return true;
  }
  return false;
}

bool Connection::serve() {
  const Request& request = context_.parser.request();
  begun_ = context_.loop.now();
  head_begun_ = false;
  scanned_ = 0;
  // A body that nobody reads ends the connection.
  keep_alive_ = request.keep_alive && !context_.stopping && !request.has_body();
  is_head_ = request.is_head();
  is_http_10_ = request.is_http_10;
  if (context_.log != nullptr)
    request_line_ =
        escape_log(std::string(request.method_text) + " " + std::string(request.target) +
                   (request.is_http_10 ? " HTTP/1.0" : " HTTP/1.1"));
  state_ = State::kWaiting;
  is_awaited_ = true;
  disarm();
  for (const auto& source : context_.sources)
    if (request.is_change() ? source->serve_change(request, *this) : source->serve(request, *this))
      return true;
  if (request.is_change())
    send(status_page(405));
  else
    send(status_page(404, "Nothing here is called " + std::string(request.path) + "."));
  return true;
}

bool Connection::refuse(unsigned status) {
  const Request& request = context_.parser.request();
  begun_ = context_.loop.now();
  keep_alive_ = false;
  // A known method whose path or body is refused is a whole head; else who knows what was meant.
  is_head_ = request.is_head();
  is_http_10_ = false;
  if (context_.log != nullptr)
    request_line_ =
        request.target.empty()
            ? "-"
            : escape_log(std::string(request.method_text) + " " + std::string(request.target));
  unread_ = {};
  state_ = State::kWaiting;
  is_awaited_ = true;
  send(status_page(status));
  return true;
}

Persistence Connection::persistence() const {
  if (!keep_alive_) return Persistence::kClose;
  return is_http_10_ ? Persistence::kKeepAlive : Persistence::kSilent;
}

void Connection::begin_answer(ResponseHead head, unsigned status) {
  head.text.replace(head.date_at, kHttpDateBytes, context_.loop.http_date());
  head_bytes_ = head.text.size();
  text_ = std::move(head.text);
  first_ = text_;
  status_ = status;
  sent_ = 0;
  progress_ = 0;
}

void Connection::answer(ResponseHead head, std::string_view body, unsigned status) {
  begin_answer(std::move(head), status);
  text_ += body;
  first_ = text_;
  start_writing();
}

// An answer has come.
void Connection::start_writing() {
  is_awaited_ = false;
  if (state_ != State::kDead) state_ = State::kWriting;
  arm();
  run();
}

void Connection::send(Response response) {
  const bool has_length = response.status != 304 && response.status != 204;
  const std::optional<uint64_t> length =
      has_length ? std::optional<uint64_t>(response.body.size()) : std::nullopt;
  const std::string_view body = is_head_ || !has_length ? std::string_view() : response.body;
  answer(make_head(response, length, persistence()), body, response.status);
}

void Connection::send(Response response, uint64_t length, std::unique_ptr<BodyStream> body) {
  ResponseHead head = make_head(response, length, persistence());
  if (is_head_ || length == 0) return answer(std::move(head), {}, response.status);
  begin_answer(std::move(head), response.status);
  stream_ = std::move(body);
  stream_left_ = length;
  // The head goes out with the first bytes; until then there may be another one.
  stream_->next(*this);
}

void Connection::send(PreparedRef response) {
  prepared_ = std::move(response);
  prepared_->set_date(context_.loop.unix_seconds(), context_.loop.http_date());
  const std::string_view head = prepared_->head();
  head_bytes_ = head.size();
  status_ = prepared_->status();
  const Persistence kind = persistence();
  const bool in_file = prepared_->body_file() >= 0;
  if (kind == Persistence::kSilent) {
    first_ = is_head_ ? head : prepared_->bytes();
    if (!is_head_ && in_file) second_ = prepared_->body();
  } else {
    text_ = head.substr(0, head.size() - 2);
    text_ += kind == Persistence::kClose ? "Connection: close\r\n\r\n"
                                         : "Connection: keep-alive\r\n\r\n";
    head_bytes_ = text_.size();
    first_ = text_;
    if (!is_head_) second_ = prepared_->body();
  }
  sent_ = 0;
  progress_ = 0;
  start_writing();
}

void Connection::give(std::span<const std::byte> bytes) {
  const size_t size = std::min<uint64_t>(bytes.size(), stream_left_);
  second_ = {reinterpret_cast<const char*>(bytes.data()), size};
  stream_left_ -= size;
  start_writing();
}

void Connection::abort() {
  stream_left_ = 0;
  keep_alive_ = false;
  if (sent_ == 0 && is_awaited_ && state_ != State::kDead) return send(status_page(500));
  is_awaited_ = false;
  die();
  run();
}

IoOutcome Connection::write_pieces() {
  const bool from_file = prepared_ && !stream_ && prepared_->body_file() >= 0 && !second_.empty() &&
                         !transport_.is_tls();
  if (!from_file) return transport_.write(first_, second_);
  if (!first_.empty()) return transport_.write_before_file(first_);
  return transport_.write_file(prepared_->body_file(), prepared_->body().size() - second_.size(),
                               second_.size());
}

bool Connection::write_some() {
  if (!first_.empty() || !second_.empty()) {
    if (!writable_) return false;
    const IoOutcome outcome = write_pieces();
    if (outcome.state == IoState::kClosed) {
      die();
      return false;
    }
    if (outcome.state == IoState::kWouldBlock) {
      writable_ = false;
      keep_rest_of_head();
      return false;
    }
    const size_t of_first = std::min(outcome.bytes, first_.size());
    first_.remove_prefix(of_first);
    second_.remove_prefix(outcome.bytes - of_first);
    sent_ += outcome.bytes;
    context_.metrics.sent_bytes.add(outcome.bytes);
    progress_ += outcome.bytes;
    if (progress_ >= kProgressBytes) {
      progress_ = 0;
      arm();
    }
    return true;
  }
  if (stream_ == nullptr || stream_left_ == 0) return finish();
  state_ = State::kWaiting;
  is_awaited_ = true;
  disarm();
  stream_->next(*this);
  return true;
}

// The date of a prepared head may change while others send it. (Not under TLS: what was written in
// part is encrypted already, and must be continued with as many bytes as it was begun with.)
void Connection::keep_rest_of_head() {
  if (transport_.is_tls()) return;
  if (!prepared_ || !text_.empty() || sent_ >= head_bytes_) return;
  const size_t rest = head_bytes_ - sent_;
  text_ = first_.substr(0, rest);
  if (prepared_->body_file() < 0) second_ = first_.substr(rest);
  first_ = text_;
}

void Connection::account() {
  if (status_ == 0) return;
  context_.metrics.count_request(status_, Clock::now() - begun_);
  if (context_.log != nullptr)
    append_log_line(context_.log_lines, client_, context_.loop.unix_seconds(), request_line_,
                    status_, sent_ - std::min(sent_, head_bytes_));
  status_ = 0;
}

bool Connection::finish() {
  account();
  prepared_ = {};
  stream_.reset();
  if (!text_.empty()) text_ = {};
  if (upgraded_ != nullptr) {
    state_ = State::kSocket;
    upgraded_->is_open = true;
    upgraded_->handler->on_open(*this);
    return true;
  }
  if (keep_alive_) {
    state_ = State::kHead;
    arm();
    return true;
  }
  transport_.shut_down_writing();
  state_ = State::kLinger;
  unread_ = {};
  due_ = context_.loop.now() + kLingerTime;
  return true;
}

bool Connection::linger() {
  unread_ = {};
  if (!receive()) return false;
  lingered_ += unread_.size();
  unread_ = {};
  if (lingered_ > kLingerBytes) die();
  return true;
}

void Connection::die() {
  if (state_ == State::kDead) return;
  state_ = State::kDead;
  unread_ = {};
  first_ = second_ = {};
  incoming_.reset();
  context_.loop.unwatch(transport_.fd(), *this);
  transport_.shut_down_writing();
  account();
  if (upgraded_ != nullptr && upgraded_->is_open) upgraded_->handler->on_close();
}

void Connection::stop(bool now) {
  keep_alive_ = false;
  if (now || (state_ == State::kHead && !head_begun_))
    die();
  else if (state_ == State::kSocket)
    close_socket(1001);  // going away
  run();
}

void Connection::check_time() {
  if (context_.loop.now() < due_) return;
  if (state_ == State::kSocket && !upgraded_->awaits_pong && !upgraded_->is_closing) {
    upgraded_->awaits_pong = true;
    arm();
    send_frame(Opcode::kPing, {});
  } else {
    if (state_ != State::kLinger) context_.metrics.timeouts.add();
    die();
  }
  run();
}

}  // namespace splitring::http
