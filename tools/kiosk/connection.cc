#include "tools/kiosk/connection.h"

#include <algorithm>
#include <array>
#include <boost/asio/write.hpp>
#include <boost/beast/core/basic_stream.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <ctime>
#include <optional>

#include "fs/tar/lane_memory.h"
#include "tools/kiosk/http_text.h"

namespace splitring::kiosk {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using boost::system::error_code;

constexpr uint64_t kMostChunkBytes = uint64_t{256} << 10;
constexpr uint64_t kLeastChunkBytes = uint64_t{16} << 10;
// For the chunks of all connections of one thread.
constexpr uint64_t kChunkMemoryBytes = uint64_t{64} << 20;
// What is read and thrown away of a client that is being closed, so that it sees our last answer
// and not a reset.
constexpr size_t kLingerBytes = size_t{4} << 20;
constexpr std::chrono::seconds kLingerTime{2};

// The Date header, made once a second.
std::string_view date_header() {
  thread_local std::time_t made_at = 0;
  thread_local std::string header;
  const std::time_t now = std::time(nullptr);
  if (now != made_at) {
    header = "Date: " + http_date(now).value_or("") + "\r\n";
    made_at = now;
  }
  return header;
}

std::string_view view(beast::string_view text) { return {text.data(), text.size()}; }

class HttpConnection final : public Connection,
                             public std::enable_shared_from_this<HttpConnection> {
 public:
  HttpConnection(Socket socket, ConnectionContext& context)
      : stream_(std::move(socket)), context_(context) {
    context_.open.insert(this);
    context_.metrics.connections.add();
  }
  ~HttpConnection() override {
    context_.open.erase(this);
    context_.metrics.closed_connections.add();
    if (context_.closed) context_.closed();
  }

  void start() { read_head(); }
  void stop(bool now) override {
    keep_alive_ = false;
    if (now || is_idle_) stream_.cancel();
  }

 private:
  using Clock = std::chrono::steady_clock;

  struct DiskRead : BlockRequest {
    // Set while in flight, so that the memory which the disk fills stays.
    std::shared_ptr<HttpConnection> connection;
    iovec buffer{};
    size_t skipped = 0;  // bytes of the first block that are not the client's
    size_t wanted = 0;
  };

  void read_head();
  void on_head(const error_code& error);
  void on_bad_head(const error_code& error);
  [[nodiscard]] std::optional<unsigned> refusal() const;
  void answer();
  void send(Reply reply);
  void send_file();
  bool read_chunk();
  static void chunk_done(BlockRequest& request) noexcept;
  void on_chunk();
  void write(std::span<const std::byte> body);
  void on_written(const error_code& error, size_t bytes);
  void linger(size_t left);

  beast::basic_stream<asio::ip::tcp, LoopExecutor> stream_;
  ConnectionContext& context_;
  beast::flat_buffer buffer_{2 * kMaxHeadBytes};
  std::optional<http::request_parser<http::empty_body>> parser_;
  bool is_idle_ = false;
  bool keep_alive_ = true;
  bool version_10_ = false;

  Reply reply_;
  FileSlice left_;  // of the file that is being sent
  DiskRead read_;
  LaneMemory chunk_;
  Clock::time_point begun_;
};

void HttpConnection::read_head() {
  parser_.emplace();
  parser_->header_limit(kMaxHeadBytes);
  is_idle_ = buffer_.size() == 0;
  stream_.expires_after(context_.timeout);
  http::async_read_header(
      stream_, buffer_, *parser_,
      [self = shared_from_this()](const error_code& error, size_t) { self->on_head(error); });
}

void HttpConnection::on_head(const error_code& error) {
  is_idle_ = false;
  begun_ = Clock::now();
  if (error) return on_bad_head(error);
  const auto& head = parser_->get();
  version_10_ = head.version() < 11;
  keep_alive_ = keep_alive_ && head.keep_alive() && !context_.stopping;
  if (const auto status = refusal()) {
    keep_alive_ = false;
    return send(Site::refuse(*status, head.method() == http::verb::head));
  }
  answer();
}

void HttpConnection::on_bad_head(const error_code& error) {
  keep_alive_ = false;
  if (error == beast::error::timeout) context_.metrics.timeouts.add();
  const bool is_framing = error.category() == make_error_code(http::error::bad_value).category();
  if (error == http::error::end_of_stream || error == http::error::partial_message || !is_framing)
    return;  // gone, or slow: dropped
  unsigned status = 400;
  if (error == http::error::header_limit || error == http::error::buffer_overflow)
    status = parser_->get().target().empty() ? 414 : 431;
  send(Site::refuse(status));
}

// H3: a body is never read, so whatever announces one ends the connection.
std::optional<unsigned> HttpConnection::refusal() const {
  const auto& head = parser_->get();
  if (head.version() != 10 && head.version() != 11) return 400;
  if (head.version() == 11 && head.count(http::field::host) != 1) return 400;
  const bool has_body =
      head.count(http::field::transfer_encoding) != 0 || parser_->content_length().value_or(0) != 0;
  if (!has_body) return std::nullopt;
  return head.method() == http::verb::get || head.method() == http::verb::head ? 413U : 405U;
}

void HttpConnection::answer() {
  const auto& head = parser_->get();
  const auto header = [&](http::field name) { return view(head[name]); };
  send(context_.site.answer({.method = view(head.method_string()),
                             .target = view(head.target()),
                             .if_none_match = header(http::field::if_none_match),
                             .if_modified_since = header(http::field::if_modified_since),
                             .range = header(http::field::range),
                             .if_range = header(http::field::if_range)}));
}

void HttpConnection::send(Reply reply) {
  reply_ = std::move(reply);
  reply_.head += date_header();
  if (!keep_alive_)
    reply_.head += "Connection: close\r\n";
  else if (version_10_)
    reply_.head += "Connection: keep-alive\r\n";
  reply_.head += "\r\n";
  if (reply_.file) return send_file();
  write(std::as_bytes(std::span(reply_.body)));
}

void HttpConnection::send_file() {
  left_ = *reply_.file;
  if (read_chunk()) return;
  keep_alive_ = false;
  send(Site::refuse(500));
}

// Starts reading as much of what is left as one chunk holds, in whole blocks of the disk.
bool HttpConnection::read_chunk() {
  const uint64_t block = context_.reader.lane().geometry().logical_block_bytes;
  const uint64_t most = std::clamp(kChunkMemoryBytes / context_.open.size() / block * block,
                                   kLeastChunkBytes, kMostChunkBytes);
  read_.skipped = left_.offset % block;
  const uint64_t bytes = std::min(round_up(read_.skipped + left_.length, block), most);
  read_.wanted = std::min(bytes - read_.skipped, left_.length);
  if (chunk_.bytes().size() < bytes) {
    auto memory = LaneMemory::allocate(context_.reader.lane(), bytes);
    if (!memory) return false;
    chunk_ = std::move(*memory);
  }
  read_.operation = Operation::kRead;
  read_.first = Sectors::from_bytes(left_.offset - read_.skipped);
  read_.buffer = {chunk_.bytes().data(), bytes};
  read_.buffers = std::span(&read_.buffer, 1);
  read_.complete = chunk_done;
  read_.connection = shared_from_this();
  context_.reader.start(read_);
  return true;
}

void HttpConnection::chunk_done(BlockRequest& request) noexcept {
  const auto self = std::move(static_cast<DiskRead&>(request).connection);
  self->on_chunk();
}

void HttpConnection::on_chunk() {
  if (read_.status != IoStatus::kOk) {
    context_.metrics.disk_read_errors.add();
    // With the head on its way already, only a short body can tell.
    if (reply_.head.empty()) return;
    keep_alive_ = false;
    return send(Site::refuse(500));
  }
  left_.offset += read_.wanted;
  left_.length -= read_.wanted;
  write(std::span(chunk_.bytes()).subspan(read_.skipped, read_.wanted));
}

// The head, once, and a part of the body.
void HttpConnection::write(std::span<const std::byte> body) {
  const std::array<asio::const_buffer, 2> buffers = {asio::buffer(reply_.head),
                                                     asio::buffer(body.data(), body.size())};
  stream_.expires_after(context_.timeout);
  asio::async_write(stream_, buffers,
                    [self = shared_from_this()](const error_code& error, size_t bytes) {
                      self->on_written(error, bytes);
                    });
}

void HttpConnection::on_written(const error_code& error, size_t bytes) {
  context_.metrics.sent_bytes.add(bytes);
  if (error) {
    if (error == beast::error::timeout) context_.metrics.timeouts.add();
    return;
  }
  if (reply_.file && left_.length != 0) {
    reply_.head.clear();
    read_chunk();  // without memory for it the connection ends here
    return;
  }
  context_.metrics.count_request(reply_.status, Clock::now() - begun_);
  reply_ = {};
  chunk_ = {};
  if (keep_alive_) return read_head();
  error_code ignored;
  stream_.socket().shutdown(asio::ip::tcp::socket::shutdown_send, ignored);
  stream_.expires_after(kLingerTime);
  buffer_.clear();
  linger(kLingerBytes);
}

void HttpConnection::linger(size_t left) {
  stream_.async_read_some(buffer_.prepare(kMaxHeadBytes),
                          [self = shared_from_this(), left](const error_code& error, size_t bytes) {
                            if (!error && bytes < left) self->linger(left - bytes);
                          });
}

}  // namespace

void start_connection(Socket socket, ConnectionContext& context) {
  std::make_shared<HttpConnection>(std::move(socket), context)->start();
}

}  // namespace splitring::kiosk
