#include "tools/kiosk/site.h"

#include <gtest/gtest.h>

#include "tests/support/fs/tar_builder.h"
#include "tools/kiosk/kiosk_metrics.h"

namespace splitring::kiosk {
namespace {

using test::TarBuilder;

class KioskSite : public testing::Test {
 protected:
  KioskSite()
      : open_(test::open_tar(TarBuilder()
                                 .member("index.html", "<h1>start</h1>")
                                 .member("docs/guide.txt", std::string(1000, 'g'))
                                 .member("docs/empty.css", "")
                                 .member("docs/<b>.txt", "x")
                                 .symlink("latest", "docs")
                                 .symlink("out", "../../etc/passwd")
                                 .member("dev", "", '3')
                                 .member("../up.txt", "dots")
                                 .member("with space/index.html", "spaced")
                                 .bytes())) {}

  [[nodiscard]] Reply get(std::string_view target, Request request = {}) const {
    if (request.method.empty()) request.method = "GET";
    request.target = target;
    return site_.answer(request);
  }
  // The bytes that the reply's file slice stands for, else its body.
  [[nodiscard]] std::string text(const Reply& reply) const {
    if (!reply.file) return reply.body;
    std::string got(reply.file->length, '\0');
    const TarEntry raw{.size = UINT64_MAX, .offset = 0};
    EXPECT_TRUE(open_.tar->read(*open_.lane, raw, reply.file->offset,
                                std::as_writable_bytes(std::span(got))));
    return got;
  }
  static std::string header(const Reply& reply, std::string_view name) {
    const std::string key = "\r\n" + std::string(name) + ": ";
    const size_t at = reply.head.find(key);
    if (at == std::string::npos) return "";
    const size_t from = at + key.size();
    return reply.head.substr(from, reply.head.find("\r\n", from) - from);
  }

  test::OpenTar open_;
  Site site_{*open_.tar, [] { return std::string("metrics here\n"); }};
};

TEST_F(KioskSite, ServesFilesWithTypeLengthAndValidators) {
  const Reply reply = get("/docs/guide.txt");
  EXPECT_EQ(reply.status, 200U);
  EXPECT_EQ(text(reply), std::string(1000, 'g'));
  EXPECT_EQ(header(reply, "Content-Length"), "1000");
  EXPECT_EQ(header(reply, "Content-Type"), "text/plain; charset=utf-8");
  EXPECT_EQ(header(reply, "Last-Modified"), "Sun, 09 Sep 2001 01:46:40 GMT");
  EXPECT_EQ(header(reply, "ETag").front(), '"');
  EXPECT_NE(header(reply, "ETag"), header(get("/index.html"), "ETag"));
}

TEST_F(KioskSite, HeadSaysTheSameAndSendsNothing) {
  for (const char* target : {"/docs/guide.txt", "/docs/", "/nowhere", "/latest", "/metrics"}) {
    const Reply full = get(target);
    const Reply head = get(target, {.method = "HEAD"});
    EXPECT_EQ(head.head, full.head) << target;
    EXPECT_TRUE(head.body.empty()) << target;
    EXPECT_FALSE(head.file) << target;
  }
}

TEST_F(KioskSite, DirectoriesAreTheirIndexOrAListing) {
  EXPECT_EQ(text(get("/")), "<h1>start</h1>");
  EXPECT_EQ(text(get("/with%20space/")), "spaced");
  const Reply listing = get("/docs/");
  EXPECT_EQ(listing.status, 200U);
  EXPECT_NE(listing.body.find("guide.txt"), std::string::npos);
  EXPECT_NE(get("/latest/").body.find("guide.txt"), std::string::npos) << "through a link";
}

TEST_F(KioskSite, ADirectoryWithoutItsSlashIsRedirected) {
  const Reply reply = get("/with%20space?a=b");
  EXPECT_EQ(reply.status, 301U);
  EXPECT_EQ(header(reply, "Location"), "/with%20space/?a=b");
  EXPECT_EQ(header(get("//docs"), "Location"), "/docs/") << "never another host";
  EXPECT_EQ(header(get("/."), "Location"), "/");
  EXPECT_EQ(get("/docs/guide.txt/").status, 404U);
}

TEST_F(KioskSite, WhatHasNotChangedIsNotSentAgain) {
  const Reply fresh = get("/docs/guide.txt");
  const std::string tag = header(fresh, "ETag");
  const std::string list = "\"other\", W/" + tag;
  EXPECT_EQ(get("/docs/guide.txt", {.if_none_match = tag}).status, 304U);
  EXPECT_EQ(get("/docs/guide.txt", {.if_none_match = list}).status, 304U);
  EXPECT_EQ(get("/docs/guide.txt", {.if_none_match = "\"other\""}).status, 200U);
  const auto since = [&](std::string_view date) {
    return get("/docs/guide.txt", {.if_modified_since = date}).status;
  };
  EXPECT_EQ(since("Sun, 09 Sep 2001 01:46:40 GMT"), 304U);
  EXPECT_EQ(since("Sun, 09 Sep 2001 01:46:39 GMT"), 200U);
  EXPECT_EQ(since("yesterday"), 200U);
  EXPECT_EQ(get("/docs/guide.txt", {.if_none_match = "\"other\"",
                                    .if_modified_since = "Sun, 09 Sep 2001 01:46:40 GMT"})
                .status,
            200U)
      << "the tag decides";
}

TEST_F(KioskSite, SingleRangesAreServed) {
  const Reply part = get("/docs/guide.txt", {.range = "bytes=990-"});
  EXPECT_EQ(part.status, 206U);
  EXPECT_EQ(header(part, "Content-Range"), "bytes 990-999/1000");
  EXPECT_EQ(text(part), std::string(10, 'g'));
  const Reply beyond = get("/docs/guide.txt", {.range = "bytes=1000-"});
  EXPECT_EQ(beyond.status, 416U);
  EXPECT_EQ(header(beyond, "Content-Range"), "bytes */1000");
  EXPECT_EQ(get("/docs/empty.css", {.range = "bytes=0-"}).status, 416U);
  const std::string tag = header(part, "ETag");
  EXPECT_EQ(get("/docs/guide.txt", {.range = "bytes=0-0", .if_range = tag}).status, 206U);
  EXPECT_EQ(get("/docs/guide.txt", {.range = "bytes=0-0", .if_range = "\"old\""}).status, 200U);
}

TEST_F(KioskSite, OtherMethodsAreRefusedWithWhatIsAllowed) {
  for (const char* method : {"POST", "PUT", "DELETE", "OPTIONS", "get", "BREW"}) {
    const Reply reply = get("/", {.method = method});
    EXPECT_EQ(reply.status, 405U) << method;
    EXPECT_EQ(header(reply, "Allow"), "GET, HEAD");
  }
}

TEST_F(KioskSite, H1_HostilePathsFindNothing) {
  for (const char* target :
       {"/../up.txt", "/%2e%2e/up.txt", "/..%2fup.txt", "/docs/../index.html", "/docs/..",
        "/etc/passwd", "//etc/passwd", "/out", "/dev", "/docs%5c..%5cindex.html", "/./x"}) {
    EXPECT_EQ(get(target).status, 404U) << target;
  }
  for (const char* target : {"/%00", "/index.html%00.png", "/%", "/%zz", "index.html", "*", "",
                             "ftp://x/index.html", "?", "\\index.html"})
    EXPECT_EQ(get(target).status, 400U) << target;
  EXPECT_EQ(get("/" + std::string(1 << 20, 'a')).status, 404U);
  EXPECT_EQ(get("http://any.host/index.html").status, 200U) << "the absolute form";
  EXPECT_EQ(get("http://any.host").status, 200U);
}

TEST_F(KioskSite, H6_NoNameReachesAPageUnescaped) {
  for (const Reply& reply : {get("/docs/"), get("/%3Cscript%3E"), get("/<script>")}) {
    EXPECT_EQ(reply.body.find("<script"), std::string::npos);
    EXPECT_EQ(reply.body.find("<b>"), std::string::npos);
    EXPECT_NE(header(reply, "Content-Security-Policy"), "");
  }
  EXPECT_EQ(get("/x%0d%0aSet-Cookie:a").head.find("Set-Cookie"), std::string::npos);
}

TEST_F(KioskSite, MetricsHaveAPageOfTheirOwn) {
  const Reply reply = get("/metrics");
  EXPECT_EQ(reply.body, "metrics here\n");
  EXPECT_EQ(header(reply, "Content-Type"), "text/plain; version=0.0.4; charset=utf-8");
}

TEST(KioskMetrics, AddUpOverTheWorkers) {
  KioskMetrics metrics;
  WorkerMetrics& one = metrics.add_worker();
  WorkerMetrics& two = metrics.add_worker();
  one.count_request(200, std::chrono::microseconds(30));
  two.count_request(200, std::chrono::seconds(5));
  two.count_request(404, std::chrono::microseconds(25));
  one.sent_bytes.add(1000);
  one.connections.add(3);
  one.closed_connections.add(1);
  const std::string text = metrics.text();
  for (const char* line :
       {"kiosk_requests_total{code=\"200\"} 2\n", "kiosk_requests_total{code=\"404\"} 1\n",
        "kiosk_requests_total{code=\"500\"} 0\n", "kiosk_request_seconds_count 3\n",
        "kiosk_request_seconds_bucket{le=\"2.5e-05\"} 1\n",
        "kiosk_request_seconds_bucket{le=\"1\"} 2\n",
        "kiosk_request_seconds_bucket{le=\"+Inf\"} 3\n", "kiosk_sent_bytes_total 1000\n",
        "kiosk_connections_open 2\n"})
    EXPECT_NE(text.find(line), std::string::npos) << line << text;
}

}  // namespace
}  // namespace splitring::kiosk
