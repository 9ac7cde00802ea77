#include <gtest/gtest.h>

#include "tools/kiosk/http/head_parser.h"

namespace splitring::http {
namespace {

using State = HeadParser::State;

class HttpHeadParser : public testing::Test {
 protected:
  unsigned refused(std::string_view text) {
    const auto outcome = parser_.parse(text);
    EXPECT_EQ(outcome.state, State::kRefused) << text.substr(0, 100);
    return outcome.status;
  }
  const Request& good(std::string_view text) {
    const auto outcome = parser_.parse(text);
    EXPECT_EQ(outcome.state, State::kHead) << text << outcome.status;
    EXPECT_EQ(outcome.head_bytes, text.size());
    return parser_.request();
  }
  // A request for "/" with these headers.
  static std::string with(const std::string& headers) {
    return "GET / HTTP/1.1\r\nHost: x\r\n" + headers + "\r\n";
  }

  HeadParser parser_;
};

TEST_F(HttpHeadParser, TakesAHeadApart) {
  const Request& request = good(
      "GET /a%20b/c?q=%zz HTTP/1.1\r\nhOST: example:80\r\nRange:\t bytes=0-1 \r\nX-Y:\r\n\r\n");
  EXPECT_EQ(request.method, Method::kGet);
  EXPECT_EQ(request.path, "/a b/c");
  EXPECT_EQ(request.query, "?q=%zz");
  EXPECT_EQ(request.header(Known::kHost), "example:80");
  EXPECT_EQ(request.header(Known::kRange), "bytes=0-1");
  EXPECT_EQ(request.header("x-y"), "");
  EXPECT_EQ(request.headers.size(), 3U);
  EXPECT_TRUE(request.keep_alive);
}

TEST_F(HttpHeadParser, WhatEndsAndWhatKeepsAConnection) {
  EXPECT_FALSE(good(with("Connection: x, Close\r\n")).keep_alive);
  EXPECT_FALSE(good("GET / HTTP/1.0\r\n\r\n").keep_alive);
  EXPECT_TRUE(good("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n").keep_alive);
  EXPECT_FALSE(good(with("Connection: keep-alive\r\nConnection: close\r\n")).keep_alive);
}

TEST_F(HttpHeadParser, EveryCutOfAHeadAsksForMoreAndThenIsTheSame) {
  const std::string text = "\r\nGET /x HTTP/1.1\r\nHost: a\r\nAccept: */*\r\n\r\n";
  for (size_t cut = 0; cut < text.size(); cut++) {
    const auto first = parser_.parse(std::string_view(text).substr(0, cut));
    ASSERT_EQ(first.state, State::kMore) << cut;
    const auto then = parser_.parse(text, first.scanned);
    ASSERT_EQ(then.state, State::kHead) << cut;
    EXPECT_EQ(then.head_bytes, text.size());
  }
  const auto two = parser_.parse(text + "GET /y");
  EXPECT_EQ(two.head_bytes, text.size()) << "what follows is the next one's";
}

TEST_F(HttpHeadParser, H3_FramingThatServersDisagreeAboutIsRefused) {
  for (const char* headers : {"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
                              "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
                              "Content-Length: 5\r\nContent-Length: 5\r\n",
                              "Content-Length: 0\r\nContent-Length: 0\r\n",
                              "Content-Length: 5, 5\r\n",
                              "Content-Length: +5\r\n",
                              "Content-Length: -1\r\n",
                              "Content-Length: 0x5\r\n",
                              "Content-Length:\r\n",
                              "Content-Length: 5 \x0b\r\n",
                              "Content-Length: 18446744073709551616\r\n",
                              "Content-Length : 5\r\n",
                              "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
                              " folded: x\r\n",
                              "A: b\r\n c\r\n",
                              "A: b\r\n\tc\r\n",
                              "A: b\rC: d\r\n",
                              "A: b\nC: d\r\n",
                              "A b\r\n",
                              ": x\r\n",
                              "A\x01: b\r\n",
                              "A: \x01\r\n",
                              "Host: y\r\n",
                              "A: b\r\n\n"})
    EXPECT_EQ(refused(with(headers)), 400U) << headers;
  EXPECT_EQ(refused(with(std::string("A: b\0c\r\n", 8))), 400U);
  EXPECT_EQ(refused(with("Transfer-Encoding: xchunked\r\n")), 501U);
  EXPECT_EQ(refused(with("Transfer-Encoding: chunked, identity\r\n")), 501U);
  EXPECT_EQ(refused(with("Transfer-Encoding: chunked\r\n")), 413U) << "GET has no body";
  EXPECT_EQ(refused(with("Expect: 200-ok\r\n")), 417U);
  EXPECT_EQ(refused(with("Content-Length: 5\r\n")), 413U);
  EXPECT_EQ(refused("GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"), 400U);
  (void)good(with("Content-Length: 0\r\n"));
}

TEST_F(HttpHeadParser, H3_BadFirstLines) {
  for (const char* line :
       {"GET /", "GET / HTTP/1.1 ", "GET  HTTP/1.1", "GET / HTTP/1", "GET / http/1.1",
        "GET / HTTP/1.1x", "GET / HTTP/a.b", " GET / HTTP/1.1", "G@T / HTTP/1.1",
        "GET /a b HTTP/1.1", "GET\t/ HTTP/1.1", "GET /\x01 HTTP/1.1", "nonsense", "/ HTTP/1.1"})
    EXPECT_EQ(refused(std::string(line) + "\r\nHost: x\r\n\r\n"), 400U) << line;
  EXPECT_EQ(refused("GET / HTTP/2.0\r\nHost: x\r\n\r\n"), 505U);
  EXPECT_EQ(refused("POST / HTTP/1.1\r\nHost: x\r\n\r\n"), 405U);
  EXPECT_EQ(refused("GET / HTTP/1.1\nHost: x\n\n"), 400U) << "bare line feeds";
  EXPECT_EQ(refused("\r\n\r\n"), 400U);
  EXPECT_EQ(refused("GET / HTTP/1.1\r\n\r\n"), 400U) << "no Host";
  for (const char* host : {"", "a b", "a/b", "a@b", "a,b"})
    EXPECT_EQ(refused("GET / HTTP/1.1\r\nHost: " + std::string(host) + "\r\n\r\n"), 400U) << host;
}

TEST_F(HttpHeadParser, H1_HostilePathsNeverReachASource) {
  const auto status = [&](const std::string& target) {
    return refused("GET " + target + " HTTP/1.1\r\nHost: x\r\n\r\n");
  };
  for (const char* target : {"/..", "/../x", "/a/../b", "/%2e%2e/x", "/..%2fx", "/a/.%2e"})
    EXPECT_EQ(status(target), 404U) << target;
  for (const char* target : {"/%00", "/%", "/%zz", "/a%0", "x", "*", "\\x", "ftp://h/x", "?"})
    EXPECT_EQ(status(target), 400U) << target;
  EXPECT_EQ(good("GET http://any.host/x?y HTTP/1.1\r\nHost: x\r\n\r\n").path, "/x");
  EXPECT_EQ(good("GET HTTP://any.host HTTP/1.1\r\nHost: x\r\n\r\n").path, "/");
  EXPECT_EQ(good("GET /..a/b.. HTTP/1.1\r\nHost: x\r\n\r\n").path, "/..a/b..");
}

TEST_F(HttpHeadParser, H3_HeadsAreBounded) {
  const std::string many(kMaxHeadBytes, 'a');
  EXPECT_EQ(refused("GET /" + many), 414U);
  EXPECT_EQ(refused("GET / HTTP/1.1\r\nHost: x\r\nA: " + many), 431U);
  std::string headers;
  for (size_t i = 0; i < kMaxHeaders; i++) headers += "A: b\r\n";
  EXPECT_EQ(refused(with(headers)), 431U);
  EXPECT_EQ(good(with(headers.substr(6))).headers.size(), kMaxHeaders);
}

}  // namespace
}  // namespace splitring::http
