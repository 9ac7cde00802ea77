#include <gtest/gtest.h>

#include "tools/kiosk/http/head_parser.h"
#include "tools/kiosk/http/web_socket.h"

namespace splitring::http {
namespace {

using State = FrameReader::State;

std::string masked(unsigned first_byte, std::string_view payload) {
  std::string frame(1, static_cast<char>(first_byte));
  if (payload.size() < 126) {
    frame += static_cast<char>(0x80 | payload.size());
  } else {
    frame += static_cast<char>(0x80 | 126);
    frame += static_cast<char>(payload.size() >> 8);
    frame += static_cast<char>(payload.size());
  }
  constexpr std::string_view kMask = "\x01\x82\x33\xf4";
  frame += kMask;
  for (size_t i = 0; i < payload.size(); i++) frame += static_cast<char>(payload[i] ^ kMask[i % 4]);
  return frame;
}

TEST(HttpWebSocket, AnswersTheKeyAsRfc6455Has) {
  HeadParser parser;
  const std::string head =
      "GET /_live HTTP/1.1\r\nHost: a:80\r\nUpgrade: WebSocket\r\nConnection: keep-alive, "
      "Upgrade\r\n"
      "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
  const std::string whole = head + "\r\n";  // what the request says lies in there
  ASSERT_EQ(parser.parse(whole).state, HeadParser::State::kHead);
  ASSERT_TRUE(accepts_web_socket(parser.request()));
  EXPECT_NE(web_socket_head(parser.request()).find("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"),
            std::string::npos);
  const auto accepts = [&](const std::string& more) {
    const std::string text = more + "\r\n";
    EXPECT_EQ(parser.parse(text).state, HeadParser::State::kHead);
    return accepts_web_socket(parser.request());
  };
  EXPECT_TRUE(accepts(head + "Origin: http://A:80\r\n"));
  EXPECT_FALSE(accepts(head + "Origin: http://evil\r\n")) << "H5: another site's page";
  EXPECT_FALSE(accepts(head + "Origin: null\r\n"));
  EXPECT_FALSE(accepts("GET / HTTP/1.1\r\nHost: a\r\n"));
}

TEST(HttpWebSocket, MessagesComeWholeHoweverTheyAreCut) {
  const std::string bytes = masked(0x01, "he") + masked(0x89, "ping") + masked(0x80, "llo") +
                            masked(0x81, std::string(300, 'x')) + masked(0x88, "");
  FrameReader reader;
  std::vector<std::string> got;
  for (const char c : bytes) {
    reader.append({&c, 1});
    FrameReader::Message message;
    while (reader.next(message) == State::kMessage)
      got.push_back(std::to_string(static_cast<int>(message.opcode)) + message.text);
  }
  EXPECT_EQ(got, (std::vector<std::string>{"9ping", "1hello", "1" + std::string(300, 'x'), "8"}));
}

TEST(HttpWebSocket, H3_FramesThatBreakTheProtocolCloseIt) {
  const auto code = [](const std::string& bytes) {
    FrameReader reader;
    reader.append(bytes);
    FrameReader::Message message;
    State state = State::kMessage;
    while (state == State::kMessage) state = reader.next(message);
    return state == State::kBroken ? reader.close_code() : 0;
  };
  std::string unmasked = "\x81\x02hi";
  EXPECT_EQ(code(unmasked), 1002);
  EXPECT_EQ(code(masked(0xc1, "x")), 1002) << "a reserved bit";
  EXPECT_EQ(code(masked(0x83, "x")), 1002) << "a reserved opcode";
  EXPECT_EQ(code(masked(0x80, "x")), 1002) << "a continuation of nothing";
  EXPECT_EQ(code(masked(0x01, "x") + masked(0x81, "y")), 1002) << "a message within another";
  EXPECT_EQ(code(masked(0x09, "x")), 1002) << "a ping in parts";
  EXPECT_EQ(code(masked(0x89, std::string(126, 'x'))), 1002) << "a long ping";
  EXPECT_EQ(code(masked(0x82, "x")), 1003);
  EXPECT_EQ(code(masked(0x81, "\xff")), 1007);
  EXPECT_EQ(code(masked(0x81, std::string(kMaxMessageBytes + 1, 'x'))), 1009);
  EXPECT_EQ(code(std::string("\x81\xff\x7f\xff\xff\xff\xff\xff\xff\xff", 10) + "mask"), 1009);
  const std::string half(kMaxMessageBytes / 2 + 1, 'x');
  EXPECT_EQ(code(masked(0x01, half) + masked(0x80, half)), 1009) << "too long in parts";
}

TEST(HttpWebSocket, OurFramesHaveTheShortestLengths) {
  const auto head = [](size_t bytes) {
    std::string out;
    append_frame(out, Opcode::kText, std::string(bytes, 'x'));
    return out.substr(0, out.size() - bytes);
  };
  EXPECT_EQ(head(125), "\x81\x7d");
  EXPECT_EQ(head(126), std::string("\x81\x7e\x00\x7e", 4));
  EXPECT_EQ(head(65536), std::string("\x81\x7f\0\0\0\0\0\x01\0\0", 10));
}

}  // namespace
}  // namespace splitring::http
