#include "tools/common/control_client.h"

#include <boost/asio/local/stream_protocol.hpp>
#include <boost/beast/core/basic_stream.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <chrono>

namespace splitring::tools {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using Stream = beast::basic_stream<asio::local::stream_protocol, asio::io_context::executor_type>;

constexpr std::chrono::seconds kTimeout{5};
constexpr uint64_t kMaxAnswerBytes = 64U << 20;

// Runs what was started on `io` to its end. `error` is what the handler sets.
Result<> finish(asio::io_context& io, const beast::error_code& error,
                const std::filesystem::path& socket) {
  io.restart();
  io.run();
  if (!error) return {};
  const std::string where = "control socket " + socket.string();
  if (error == beast::error::timeout) return fail(Errc::kTimeout, where + ": no answer");
  if (error.category() == boost::system::system_category()) return fail_errno(where, error.value());
  return fail(Errc::kPeer, where + ": " + error.message());
}

Result<std::string> fetch(const std::filesystem::path& socket, const char* target) {
  if (socket.native().size() >= sizeof(sockaddr_un::sun_path))
    return fail(Errc::kInvalid, "the path of a socket is too long: " + socket.string());
  asio::io_context io;
  Stream stream(io);
  beast::error_code result;
  const auto done = [&result](beast::error_code error, auto&&...) { result = error; };
  stream.expires_after(kTimeout);
  stream.async_connect(asio::local::stream_protocol::endpoint(socket.string()), done);
  TRY_VOID(finish(io, result, socket));

  http::request<http::empty_body> request(http::verb::get, target, 11);
  request.set(http::field::host, "splitringd");
  http::async_write(stream, request, done);
  TRY_VOID(finish(io, result, socket));

  beast::flat_buffer buffer;
  http::response_parser<http::string_body> parser;
  parser.body_limit(kMaxAnswerBytes);
  http::async_read(stream, buffer, parser, done);
  TRY_VOID(finish(io, result, socket));
  if (parser.get().result() != http::status::ok)
    return fail(Errc::kPeer, "control socket " + socket.string() + " answers " +
                                 std::to_string(parser.get().result_int()));
  return std::move(parser.get().body());
}

}  // namespace

Result<nlohmann::json> fetch_devices(const std::filesystem::path& socket) {
  const std::string body = TRY(fetch(socket, "/devices"));
  auto devices = nlohmann::json::parse(body, nullptr, false);
  if (!devices.is_array())
    return fail(Errc::kPeer, "control socket " + socket.string() + " does not list devices");
  return devices;
}

}  // namespace splitring::tools
