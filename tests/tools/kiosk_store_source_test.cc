#include "tools/kiosk/content/store_source.h"

#include <gtest/gtest.h>

#include "tests/support/fs/tar_builder.h"
#include "tests/support/fs/test_disk.h"
#include "tests/support/tools/recorded_exchange.h"
#include "tools/kiosk/content/compress.h"
#include "tools/kiosk/content/tar_volume.h"
#include "tools/kiosk/http/head_parser.h"

namespace splitring::kiosk {
namespace {

using test::RecordedExchange;
using test::TarBuilder;

std::string site_bytes(std::string_view guide) {
  return TarBuilder()
      .member("index.html", "<h1>start</h1>")
      .member("docs/guide.txt", guide)
      .member("docs/empty.css", "")
      .member("docs/<b>.txt", "x")
      .member("big.bin", std::string(3'000'001, 'b'))
      .member("app.js", std::string(2000, 'j'))
      .member("app.js.gz", "gzipped elsewhere")
      .member("app.js.br", "brotli")
      .symlink("latest", "docs")
      .symlink("out", "../../etc/passwd")
      .member("dev", "", '3')
      .member("with space/index.html", "spaced")
      .bytes();
}

class KioskStoreSource : public testing::Test {
 protected:
  KioskStoreSource() { put(site_bytes(std::string(1000, 'g'))); }
  ~KioskStoreSource() override { source_.reset(); }

  void put(std::string bytes, const test::TestDisk::Faults& faults = {}) {
    auto disk = std::make_unique<test::TestDisk>(std::move(bytes), kSectorSize, faults);
    disk_ = disk.get();
    auto volume = TarVolume::open(std::move(disk));
    ASSERT_TRUE(volume) << volume.error().what;
    slot_.put(*volume);
  }
  void open_source(uint64_t cache_bytes = 16 << 20) {
    source_ = std::make_unique<StoreSource>(slot_, StoreSourceOptions{.cache_bytes = cache_bytes},
                                            *loop_, metrics_);
  }
  // One turn after the other until it is answered.
  void finish(const RecordedExchange& exchange) {
    while (!exchange.done() && !exchange.aborted) {
      loop_->post([this] { loop_->stop(); });
      loop_->run();
    }
  }
  std::unique_ptr<RecordedExchange> begin(const std::string& target, const std::string& headers,
                                          const std::string& method) {
    if (source_ == nullptr) open_source();
    const std::string head = method + " " + target + " HTTP/1.1\r\nHost: x\r\n" + headers + "\r\n";
    EXPECT_EQ(parser_.parse(head).state, http::HeadParser::State::kHead) << head;
    auto exchange = std::make_unique<RecordedExchange>(*loop_, method == "HEAD");
    is_mine_ = source_->serve(parser_.request(), *exchange);
    return exchange;
  }
  RecordedExchange get(const std::string& target, const std::string& headers = "",
                       const std::string& method = "GET") {
    auto exchange = begin(target, headers, method);
    if (is_mine_) finish(*exchange);
    return std::move(*exchange);
  }

  std::unique_ptr<http::Loop> loop_ = std::move(*http::Loop::create());
  http::WorkerMetrics metrics_;
  VolumeSlot slot_;
  test::TestDisk* disk_ = nullptr;
  http::HeadParser parser_;
  std::unique_ptr<StoreSource> source_;
  bool is_mine_ = false;
};

TEST_F(KioskStoreSource, ServesFilesWithTypeLengthAndValidators) {
  const auto reply = get("/docs/guide.txt");
  EXPECT_EQ(reply.status, 200U);
  EXPECT_EQ(reply.body, std::string(1000, 'g'));
  EXPECT_EQ(reply.header("Content-Length"), "1000");
  EXPECT_EQ(reply.header("Content-Type"), "text/plain; charset=utf-8");
  EXPECT_EQ(reply.header("Last-Modified"), "Sun, 09 Sep 2001 01:46:40 GMT");
  EXPECT_EQ(reply.header("ETag").size(), 34U);
  EXPECT_EQ(get("/docs/empty.css").body, "");
  EXPECT_EQ(get("/big.bin").body, std::string(3'000'001, 'b')) << "streamed";
}

TEST_F(KioskStoreSource, AskedForAgainItNeedsNoDisk) {
  (void)get("/docs/guide.txt");
  const uint64_t reads = disk_->counts().reads;
  EXPECT_TRUE(get("/docs/guide.txt").from_cache);
  EXPECT_EQ(get("/docs/guide.txt", "", "HEAD").body, "");
  EXPECT_EQ(get("/docs/guide.txt", "Range: bytes=990-\r\n").body, std::string(10, 'g'));
  EXPECT_EQ(get("/docs/guide.txt", "Range: bytes=0-0,2-2\r\n").status, 206U);
  EXPECT_LE(disk_->counts().reads, reads + 1) << "parts are kept apart from what may be compressed";
}

// The largest that is compressed, asked for first; a small one asked for in the same turn.
TEST_F(KioskStoreSource, NobodyWaitsForACompressionThatSomebodyElseAskedFor) {
  std::string text;
  for (unsigned i = 0; text.size() < kMostCompressed; i++) text += std::to_string(i) + "\n";
  text.resize(kMostCompressed);
  put(TarBuilder().member("large.txt", text).member("small.bin", "small").bytes());
  const auto large = begin("/large.txt", "Accept-Encoding: gzip\r\n", "GET");
  const auto again = begin("/large.txt", "Accept-Encoding: gzip\r\n", "GET");
  const auto small = begin("/small.bin", "", "GET");
  size_t turns = 0;
  for (; !large->done(); turns++) {
    loop_->post([this] { loop_->stop(); });
    loop_->run();
    EXPECT_TRUE(turns < 5 || small->done());
  }
  EXPECT_EQ(small->body, "small");
  EXPECT_GE(turns, kMostCompressed / kCompressedAtOnce / 2) << "a slice a turn, two turns a run";
  EXPECT_EQ(large->header("Content-Encoding"), "gzip");
  EXPECT_TRUE(again->done());
  EXPECT_EQ(again->body, large->body);
  EXPECT_TRUE(get("/large.txt", "Accept-Encoding: gzip\r\n").from_cache);
}

TEST_F(KioskStoreSource, ASourceThatGoesAnswersWhoWaitsForACompression) {
  put(TarBuilder().member("large.txt", std::string(kMostCompressed, 'x')).bytes());
  const auto large = begin("/large.txt", "Accept-Encoding: zstd\r\n", "GET");
  source_.reset();
  EXPECT_TRUE(large->done());
  EXPECT_EQ(large->header("Content-Encoding"), "zstd");
}

TEST_F(KioskStoreSource, AThreadThatGetsNoLaneSaysSoAndAnswersNothingElse) {
  put(site_bytes("g"), {.no_lanes_after = 1});
  const auto reply = get("/docs/guide.txt");
  EXPECT_TRUE(is_mine_) << "another source would answer what the other threads do not";
  EXPECT_EQ(reply.status, 503U);
}

TEST_F(KioskStoreSource, ALargeFileIsKeptInAFileOfItsOwn) {
  const std::string large = std::string(70'000, 'l') + "end";
  put(TarBuilder().member("large.bin", large).bytes());
  for (int i = 0; i < 2; i++) {
    const auto reply = get("/large.bin");
    EXPECT_TRUE(reply.from_cache);
    EXPECT_EQ(reply.body, large);
    EXPECT_EQ(reply.header("Content-Length"), "70003");
  }
  EXPECT_EQ(get("/large.bin", "Range: bytes=-3\r\n").body, "end");
}

TEST_F(KioskStoreSource, ThoseWhoAskAtOnceShareOneRead) {
  const auto one = begin("/docs/guide.txt", "", "GET");
  const auto two = begin("/docs/guide.txt", "", "HEAD");
  const auto three = begin("/docs/guide.txt", "If-None-Match: *\r\n", "GET");
  const uint64_t reads = metrics_.disk_reads.value();
  finish(*three);
  EXPECT_EQ(reads, 1U);
  EXPECT_EQ(one->body.size(), 1000U);
  EXPECT_EQ(two->status, 200U);
  EXPECT_EQ(two->body, "");
  EXPECT_EQ(three->status, 304U);
}

TEST_F(KioskStoreSource, DirectoriesAreTheirIndexOrAListing) {
  EXPECT_EQ(get("/").body, "<h1>start</h1>");
  EXPECT_EQ(get("/with%20space/").body, "spaced");
  for (const char* path : {"/docs/", "/latest/"})
    EXPECT_NE(get(path).body.find("guide.txt"), std::string::npos) << path;
  EXPECT_TRUE(get("/docs/").from_cache);
}

TEST_F(KioskStoreSource, ADirectoryWithoutItsSlashIsRedirected) {
  const auto reply = get("/with%20space?a=b");
  EXPECT_EQ(reply.status, 301U);
  EXPECT_EQ(reply.header("Location"), "/with%20space/?a=b");
  EXPECT_EQ(get("//docs").header("Location"), "/docs/") << "never another host";
}

TEST_F(KioskStoreSource, H1_WhatIsNotInTheStoreIsNotMine) {
  for (const char* path : {"/etc/passwd", "//etc/passwd", "/out", "/dev", "/docs/guide.txt/",
                           "/docs%5c..%5cindex.html", "/nowhere"}) {
    (void)get(path);
    EXPECT_FALSE(is_mine_) << path;
  }
}

TEST_F(KioskStoreSource, H6_NoNameReachesAPageUnescaped) {
  const auto reply = get("/docs/");
  EXPECT_EQ(reply.body.find("<b>"), std::string::npos);
  EXPECT_NE(reply.header("Content-Security-Policy"), "");
}

TEST_F(KioskStoreSource, VariantsOfTheStoreAreSentAsWhatTheyAre) {
  const auto gzip = get("/app.js", "Accept-Encoding: gzip\r\n");
  EXPECT_EQ(gzip.body, "gzipped elsewhere");
  EXPECT_EQ(gzip.header("Content-Encoding"), "gzip");
  EXPECT_EQ(gzip.header("Content-Type"), "text/javascript; charset=utf-8");
  EXPECT_EQ(gzip.header("Vary"), "Accept-Encoding");
  EXPECT_EQ(get("/app.js", "Accept-Encoding: br;q=0.5, gzip;q=0.4\r\n").body, "brotli");
  EXPECT_EQ(get("/app.js", "Accept-Encoding: br;q=0.4, gzip;q=0.5\r\n").body, "gzipped elsewhere");
  const auto plain = get("/app.js");
  EXPECT_EQ(plain.body, std::string(2000, 'j'));
  EXPECT_EQ(plain.header("Vary"), "Accept-Encoding");
  EXPECT_NE(plain.header("ETag"), gzip.header("ETag"));
}

TEST_F(KioskStoreSource, TextIsCompressedOnTheWayIfNoVariantIsThere) {
  const auto zstd = get("/docs/guide.txt", "Accept-Encoding: gzip, zstd\r\n");
  EXPECT_EQ(zstd.header("Content-Encoding"), "zstd");
  EXPECT_LT(zstd.body.size(), 200U);
  EXPECT_EQ(get("/docs/guide.txt", "Accept-Encoding: gzip\r\n").body.substr(0, 2), "\x1f\x8b");
  const auto part = get("/docs/guide.txt", "Accept-Encoding: gzip\r\nRange: bytes=0-1\r\n");
  EXPECT_EQ(part.body, "gg") << "parts are of what the store holds";
  EXPECT_EQ(get("/docs/%3Cb%3E.txt", "Accept-Encoding: gzip\r\n").body, "x") << "too short";
  EXPECT_EQ(get("/big.bin", "Accept-Encoding: gzip\r\n").header("Vary"), "") << "never for it";
}

TEST_F(KioskStoreSource, ANewVolumeIsServedAtOnceAndTheOldOneForgotten) {
  const std::string tag = get("/docs/guide.txt").header("ETag");
  const auto late = begin("/big.bin", "", "GET");
  put(site_bytes(std::string(1000, 'n')));
  const auto fresh = get("/docs/guide.txt", "If-None-Match: " + tag + "\r\n");
  EXPECT_EQ(fresh.status, 200U) << "same size and time, other bytes: another tag";
  EXPECT_EQ(fresh.body, std::string(1000, 'n'));
  finish(*late);
  EXPECT_EQ(late->body, std::string(3'000'001, 'b')) << "begun on the old one, ended on it";
  slot_.put(nullptr);
  (void)get("/docs/guide.txt");
  EXPECT_FALSE(is_mine_);
}

TEST_F(KioskStoreSource, ADiskThatFailsIs500OrAShortBody) {
  // The sectors lie within bodies that the index skips.
  const auto with_first = [](size_t bytes) {
    return TarBuilder()
        .member("first.bin", std::string(bytes, 'f'))
        .member("good.txt", "good")
        .bytes();
  };
  put(with_first(1'000'000), {.failing_sector = 1000});
  EXPECT_EQ(get("/first.bin").status, 500U);
  EXPECT_EQ(get("/good.txt").status, 200U) << "the rest is served";
  put(with_first(3'000'000), {.failing_sector = 3000});
  EXPECT_TRUE(get("/first.bin").aborted);
  EXPECT_EQ(metrics_.disk_read_errors.value(), 2U);
}

TEST_F(KioskStoreSource, TheCacheKeepsTheLatestWithinItsLimit) {
  TarBuilder tar;
  for (int i = 0; i < 100; i++) tar.member("f" + std::to_string(i), std::string(10'000, 'f'));
  put(tar.bytes());
  open_source(200'000);
  for (int round = 0; round < 3; round++)
    for (int i = 0; i < 100; i++) EXPECT_EQ(get("/f" + std::to_string(i)).body.size(), 10'000U);
  const uint64_t reads = metrics_.disk_reads.value();
  (void)get("/f99");
  EXPECT_EQ(metrics_.disk_reads.value(), reads) << "the latest is here";
  (void)get("/f0");
  EXPECT_EQ(metrics_.disk_reads.value(), reads + 1) << "it has left";
}

TEST_F(KioskStoreSource, WithoutACacheEverythingIsStreamed) {
  open_source(0);
  EXPECT_EQ(get("/docs/guide.txt").body, std::string(1000, 'g'));
  EXPECT_FALSE(get("/docs/guide.txt").from_cache);
  EXPECT_NE(get("/docs/").body.find("guide.txt"), std::string::npos);
}

}  // namespace
}  // namespace splitring::kiosk
