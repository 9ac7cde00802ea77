#include <gtest/gtest.h>
#include <zlib.h>
#include <zstd.h>

#include "tools/kiosk/content/compress.h"
#include "tools/kiosk/content/representation.h"

namespace splitring::kiosk {
namespace {

using http::Known;
using http::Request;

std::string codings(std::string_view accept) {
  const CodingChoice choice = accepted_codings(accept);
  std::string names;
  for (size_t i = 0; i + 1 < choice.count; i++)
    names += std::string(coding_name(choice.order[i])) + " ";
  EXPECT_EQ(choice.order[choice.count - 1], Coding::kIdentity);
  return names;
}

TEST(KioskCodings, AreChosenByWeightThenByOurLiking) {
  EXPECT_EQ(codings(""), "");
  EXPECT_EQ(codings("identity"), "");
  EXPECT_EQ(codings("gzip, deflate, br, zstd"), "br zstd gzip ");
  EXPECT_EQ(codings("gzip;q=1.0, br;q=0.5"), "gzip br ");
  EXPECT_EQ(codings("br;q=0, *"), "zstd gzip ");
  EXPECT_EQ(codings("*;q=0.1, GZIP"), "gzip br zstd ");
  EXPECT_EQ(codings("x-gzip"), "gzip ");
  EXPECT_EQ(codings("gzip;q=nonsense, br;q=2, zstd;q=0.0001"), "");
  EXPECT_EQ(codings(",,;q=1, gzip ; q=0.5 ,"), "gzip ");
}

TEST(KioskCodings, EveryListHasAKeyOfItsOwn) {
  std::set<uint8_t> keys;
  const std::vector<const char*> lists = {"",
                                          "br",
                                          "zstd",
                                          "gzip",
                                          "br,zstd",
                                          "br,gzip",
                                          "zstd,gzip",
                                          "br,zstd,gzip",
                                          "gzip,br;q=.5",
                                          "br,gzip,zstd;q=0.1",
                                          "gzip,zstd;q=0.5,br;q=0.1"};
  for (const char* list : lists) keys.insert(accepted_codings(list).key());
  EXPECT_EQ(keys.size(), lists.size() - 1) << "\"br;q=.5\" is no weight: the same as gzip alone";
}

std::optional<std::string> compress(Coding coding, const std::string& text) {
  const auto compression = Compression::begin(coding, text);
  if (compression == nullptr) return std::nullopt;
  size_t steps = 1;
  while (!compression->step()) steps++;
  EXPECT_EQ(steps, std::max<size_t>(1, (text.size() + kCompressedAtOnce - 1) / kCompressedAtOnce))
      << "each takes a bounded share";
  const std::string* const smaller = compression->smaller();
  return smaller == nullptr ? std::nullopt : std::optional(*smaller);
}

std::string gunzip(const std::string& packed, size_t bytes) {
  std::string text(bytes + 1, '\0');
  z_stream stream{};
  EXPECT_EQ(inflateInit2(&stream, 15 + 16), Z_OK);
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(packed.data()));
  stream.avail_in = static_cast<uInt>(packed.size());
  stream.next_out = reinterpret_cast<Bytef*>(text.data());
  stream.avail_out = static_cast<uInt>(text.size());
  EXPECT_EQ(inflate(&stream, Z_FINISH), Z_STREAM_END);
  text.resize(stream.total_out);
  inflateEnd(&stream);
  return text;
}

TEST(KioskCompression, IsUndoneByTheLibrariesAndDoneOnlyIfItPays) {
  for (const size_t bytes : {size_t{5000}, kCompressedAtOnce, kCompressedAtOnce + 1,
                             2 * kCompressedAtOnce, kMostCompressed}) {
    std::string text;
    for (unsigned i = 0; text.size() < bytes; i++) text += std::to_string(i * i % 9973) + " ";
    text.resize(bytes);
    const auto gzip = compress(Coding::kGzip, text);
    ASSERT_TRUE(gzip);
    EXPECT_TRUE(gunzip(*gzip, bytes) == text) << bytes;
    const auto zstd = compress(Coding::kZstd, text);
    ASSERT_TRUE(zstd);
    std::string back(bytes, '\0');
    EXPECT_EQ(ZSTD_decompress(back.data(), back.size(), zstd->data(), zstd->size()), bytes);
    EXPECT_TRUE(back == text) << bytes;
  }
  std::string noise;
  for (unsigned i = 0, x = 1; i < 5000; i++)
    noise += static_cast<char>((x = x * 1103515245 + 12345) >> 16);
  EXPECT_FALSE(compress(Coding::kZstd, noise));
  EXPECT_FALSE(compress(Coding::kGzip, noise));
  EXPECT_FALSE(compress(Coding::kBrotli, std::string(5000, 'a')));
}

class KioskPlan : public testing::Test {
 protected:
  Plan made(const std::vector<std::pair<Known, std::string_view>>& headers,
            http::Method method = http::Method::kGet) {
    Request request;
    request.method = method;
    for (const auto& [name, value] : headers) request.known[static_cast<size_t>(name)] = value;
    return plan(request, file_);
  }
  unsigned status(const std::vector<std::pair<Known, std::string_view>>& headers) {
    return made(headers).response.status;
  }

  Representation file_{.type = "text/plain", .size = 1000, .mtime_s = 1000000000, .etag = "\"t\""};
  static constexpr std::string_view kDate = "Sun, 09 Sep 2001 01:46:40 GMT";
  static constexpr std::string_view kBefore = "Sun, 09 Sep 2001 01:46:39 GMT";
};

TEST_F(KioskPlan, WhatHasNotChangedIsNotSentAgain) {
  EXPECT_EQ(status({{Known::kIfNoneMatch, "\"x\", W/\"t\""}}), 304U);
  EXPECT_EQ(status({{Known::kIfNoneMatch, "\"x\""}}), 200U);
  EXPECT_EQ(status({{Known::kIfModifiedSince, kDate}}), 304U);
  EXPECT_EQ(status({{Known::kIfModifiedSince, kBefore}}), 200U);
  EXPECT_EQ(status({{Known::kIfModifiedSince, "yesterday"}}), 200U);
  EXPECT_EQ(status({{Known::kIfNoneMatch, "\"x\""}, {Known::kIfModifiedSince, kDate}}), 200U)
      << "the tag decides";
}

TEST_F(KioskPlan, PreconditionsOfRfc9110) {
  EXPECT_EQ(status({{Known::kIfMatch, "\"t\""}}), 200U);
  EXPECT_EQ(status({{Known::kIfMatch, "*"}}), 200U);
  EXPECT_EQ(status({{Known::kIfMatch, "W/\"t\""}}), 412U);
  EXPECT_EQ(status({{Known::kIfUnmodifiedSince, kDate}}), 200U);
  EXPECT_EQ(status({{Known::kIfUnmodifiedSince, kBefore}}), 412U);
  EXPECT_EQ(status({{Known::kIfMatch, "\"t\""}, {Known::kIfUnmodifiedSince, kBefore}}), 200U);
}

TEST_F(KioskPlan, ASingleRange) {
  const Plan part = made({{Known::kRange, "bytes=990-"}});
  EXPECT_EQ(part.response.status, 206U);
  EXPECT_NE(part.response.headers.find("Content-Range: bytes 990-999/1000\r\n"), std::string::npos);
  EXPECT_EQ(part.length, 10U);
  EXPECT_EQ(made({{Known::kRange, "bytes=990-"}}, http::Method::kHead).response.status, 200U);
  EXPECT_EQ(status({{Known::kRange, "bytes=1000-"}}), 416U);
  EXPECT_EQ(status({{Known::kRange, "bytes=0-1"}, {Known::kIfRange, "\"t\""}}), 206U);
  EXPECT_EQ(status({{Known::kRange, "bytes=0-1"}, {Known::kIfRange, kDate}}), 206U);
  EXPECT_EQ(status({{Known::kRange, "bytes=0-1"}, {Known::kIfRange, "\"old\""}}), 200U);
  EXPECT_EQ(status({{Known::kRange, "bytes=0-1"}, {Known::kIfRange, kBefore}}), 200U);
}

TEST_F(KioskPlan, H4_SeveralRangesAreMultipartAndBounded) {
  const Plan several = made({{Known::kRange, "bytes=0-1,5-6,-1"}});
  EXPECT_EQ(several.response.status, 206U);
  ASSERT_EQ(several.parts.size(), 4U);
  EXPECT_NE(several.parts[1].text.find("Content-Range: bytes 5-6/1000\r\n\r\n"), std::string::npos);
  uint64_t length = 0;
  for (const Part& part : several.parts) length += part.text.size() + part.bytes.length;
  EXPECT_EQ(several.length, length);
  std::string many = "bytes=0-0";
  for (size_t i = 0; i < kMaxRanges; i++) many += ",1-1";
  EXPECT_EQ(status({{Known::kRange, many}}), 200U);
}

}  // namespace
}  // namespace splitring::kiosk
