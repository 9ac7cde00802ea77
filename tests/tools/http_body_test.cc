#include <gtest/gtest.h>

#include "tools/kiosk/http/body_decoder.h"
#include "tools/kiosk/http/request_body.h"

namespace splitring::http {
namespace {

using State = BodyDecoder::State;

// What comes out, and how it ended, if the input comes in pieces of so many bytes.
std::pair<std::string, State> decode(BodyDecoder decoder, std::string_view input, size_t piece) {
  std::string body;
  size_t taken = 0;
  for (size_t seen = std::min(piece, input.size());;) {
    const auto outcome = decoder.next(input.substr(taken, seen - taken));
    taken += outcome.taken;
    body += outcome.data;
    if (outcome.state == State::kData) continue;
    if (outcome.state != State::kMore || seen == input.size()) return {body, outcome.state};
    seen = std::min(seen + piece, input.size());
  }
}

TEST(HttpBodyDecoder, EveryCutOfAChunkedBodyIsTheSameBody) {
  const std::string_view input =
      "5\r\nhello\r\n00b;name=\"v\"\r\n, my world!\r\n0\r\nA: b\r\n\r\nrest";
  for (size_t piece = 1; piece <= input.size(); piece++)
    EXPECT_EQ(decode(BodyDecoder::of_chunks(), input, piece),
              std::pair(std::string("hello, my world!"), State::kEnd));
}

TEST(HttpBodyDecoder, ALengthIsCountedDownAndNoFurther) {
  BodyDecoder decoder = BodyDecoder::of_length(5);
  EXPECT_EQ(decoder.next("").state, State::kMore);
  EXPECT_EQ(decoder.next("hel").data, "hel");
  const auto rest = decoder.next("loGET /");
  EXPECT_EQ(rest.data, "lo");
  EXPECT_EQ(rest.taken, 2U);
  const auto end = decoder.next("GET /");
  EXPECT_EQ(end.state, State::kEnd);
  EXPECT_EQ(end.taken, 0U);
  EXPECT_EQ(BodyDecoder::of_length(0).next("x").state, State::kEnd);
}

TEST(HttpBodyDecoder, H3_BadChunksAreBroken) {
  for (const std::string_view input :
       {"\r\n", "x\r\n", "-1\r\n", "+1\r\n", "0x1\r\n", " 1\r\n", "1 \r\n", "1\n", "1\r;\r\n",
        "10000000000000000\r\n", "1\r\nab\r\n", "1\r\na\n", "1\r\na\r\r\n", "0\r\nbad\n",
        "0\r\nx\ry\r\n\r\n"})
    for (const size_t piece : {1U, 100U})
      EXPECT_EQ(decode(BodyDecoder::of_chunks(), input, piece).second, State::kBroken) << input;
  const std::string long_line = "1;" + std::string(kMaxChunkLine, 'x') + "\r\na\r\n";
  EXPECT_EQ(decode(BodyDecoder::of_chunks(), long_line, 7).second, State::kBroken);
  std::string trailers = "0\r\n";
  for (size_t i = 0; i <= kMaxTrailers; i++) trailers += "A: b\r\n";
  EXPECT_EQ(decode(BodyDecoder::of_chunks(), trailers + "\r\n", 50).second, State::kBroken);
}

TEST(HttpRequestBody, MovesToAFileWhenItIsLargeOrMemoryIsScarce) {
  const auto budget = std::make_shared<BodyBudget>();
  std::string whole;
  {
    RequestBody body(budget);
    for (char c = 'a'; c <= 'z'; c++) {
      const std::string piece(20'000, c);
      whole += piece;
      ASSERT_TRUE(body.append(piece));
    }
    EXPECT_FALSE(body.is_in_memory());
    EXPECT_EQ(budget->in_memory, 0U);
    EXPECT_EQ(budget->in_files, whole.size());
    std::string read(whole.size(), '\0');
    ASSERT_EQ(body.read(0, std::as_writable_bytes(std::span(read))).value_or(0), whole.size());
    EXPECT_TRUE(read == whole);
    EXPECT_EQ(body.read(whole.size(), std::as_writable_bytes(std::span(read))).value_or(1), 0U);
  }
  EXPECT_EQ(budget->in_files, 0U);
  budget->in_memory = BodyBudget::kMostInMemory;
  RequestBody small(budget);
  ASSERT_TRUE(small.append("x"));
  EXPECT_FALSE(small.is_in_memory());
}

TEST(HttpRequestBody, H2_BodiesTogetherAreBounded) {
  const auto budget = std::make_shared<BodyBudget>();
  budget->in_files = BodyBudget::kMostInFiles;
  RequestBody body(budget);
  ASSERT_TRUE(body.append(std::string(kBodyInMemory, 'x')));
  EXPECT_EQ(body.append("y").error().code, Errc::kLimit);
  budget->in_files = 0;
}

}  // namespace
}  // namespace splitring::http
