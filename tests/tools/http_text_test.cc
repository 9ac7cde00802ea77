#include <gtest/gtest.h>

#include "tools/kiosk/http/content_type.h"
#include "tools/kiosk/http/html_page.h"
#include "tools/kiosk/http/http_text.h"

namespace splitring::http {
namespace {

using namespace std::string_view_literals;

TEST(HttpText, DatesAreTheFormOfRfc9110BothWays) {
  EXPECT_EQ(http_date(784111777), "Sun, 06 Nov 1994 08:49:37 GMT");
  for (const int64_t time :
       {int64_t{0}, int64_t{784111777}, int64_t{951782400}, int64_t{253402300799}, int64_t{-1}})
    EXPECT_EQ(parse_http_date(*http_date(time)), time);
  EXPECT_FALSE(http_date(INT64_MAX));
  EXPECT_FALSE(http_date(INT64_MIN));
  for (const auto bad : {"", "Mon, 06 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 24:49:37 GMT",
                         "Sun, 31 Feb 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT",
                         "Sun, 06 Nov 1994 08:49:37 UTC", "Sun, 06 Nov 1994 08:49:37 GMT "})
    EXPECT_FALSE(parse_http_date(bad)) << bad;
}

TEST(HttpText, H1_PercentDecodingRefusesHalfEscapesAndNul) {
  EXPECT_EQ(percent_decode("/a%20b%2Fc%e2%82%ac"), "/a b/c\xe2\x82\xac");
  for (const auto bad : {"%", "%4", "%zz", "a%", "%00", "x%0", "%2"})
    EXPECT_FALSE(percent_decode(bad)) << bad;
  EXPECT_FALSE(percent_decode("a\0b"sv));
}

TEST(HttpText, EveryByteSurvivesEncodingAndIsSafe) {
  std::string all;
  for (int c = 1; c < 256; c++) all += static_cast<char>(c);
  const std::string encoded = percent_encode_path(all);
  EXPECT_EQ(percent_decode(encoded), all);
  EXPECT_EQ(encoded.find_first_of("\r\n\"'<>&?# "), std::string::npos);
}

TEST(HttpText, H6_HtmlIsEscapedWhateverTheBytes) {
  EXPECT_EQ(escape_html("<a href=\"x\" id='y'>&"),
            "&lt;a href=&quot;x&quot; id=&#39;y&#39;&gt;&amp;");
  EXPECT_EQ(escape_html("\xc3\xa9\xe2\x82\xac\xf0\x9f\x90\xaa"),
            "\xc3\xa9\xe2\x82\xac\xf0\x9f\x90\xaa");
  constexpr auto kBad = "\xef\xbf\xbd";
  for (const auto bad : {"\xff"sv, "\x1b"sv, "\x7f"sv, "\0"sv, "\xc3"sv})
    EXPECT_EQ(escape_html(bad), kBad);
  EXPECT_EQ(escape_html("\xc3<"), std::string(kBad) + "&lt;") << "a cut sequence hides nothing";
  EXPECT_EQ(escape_html("\xed\xa0\x80"), std::string(kBad) + kBad + kBad) << "a surrogate";
  EXPECT_EQ(escape_html("\xc0\xbc"), std::string(kBad) + kBad) << "an overlong '<'";
}

TEST(HttpText, EntityTagsAreFoundInLists) {
  EXPECT_TRUE(etag_list_holds("\"a\"", "\"a\""));
  EXPECT_TRUE(etag_list_holds("\"x\" , W/\"a\"", "\"a\""));
  EXPECT_TRUE(etag_list_holds("*", "\"a\""));
  EXPECT_FALSE(etag_list_holds("W/\"a\"", "\"a\"", EtagMatch::kStrong));
  for (const auto list : {"", "\"b\"", "a", "\"aa\"", ",,,", "W/"})
    EXPECT_FALSE(etag_list_holds(list, "\"a\"")) << list;
}

TEST(HttpText, H4_RangesAsRfc9110HasThem) {
  std::vector<ByteRange> ranges;
  const auto parts = [&](std::string_view header, uint64_t size) {
    EXPECT_EQ(parse_ranges(header, size, 16, ranges), RangeKind::kPart) << header;
    return ranges;
  };
  using Ranges = std::vector<ByteRange>;
  EXPECT_EQ(parts("bytes=0-0", 10), (Ranges{{0, 1}}));
  EXPECT_EQ(parts("bytes=2-", 10), (Ranges{{2, 8}}));
  EXPECT_EQ(parts("bytes=2-99", 10), (Ranges{{2, 8}}));
  EXPECT_EQ(parts("bytes=-3", 10), (Ranges{{7, 3}}));
  EXPECT_EQ(parts("bytes=-99", 10), (Ranges{{0, 10}}));
  EXPECT_EQ(parts("bytes=0-18446744073709551615", 10), (Ranges{{0, 10}}));
  EXPECT_EQ(parts("bytes=5-6, ,0-0,20-30", 10), (Ranges{{5, 2}, {0, 1}}));
  for (const auto header : {"bytes=10-", "bytes=10-20", "bytes=-0", "bytes=10-,11-"})
    EXPECT_EQ(parse_ranges(header, 10, 16, ranges), RangeKind::kUnsatisfiable) << header;
  EXPECT_EQ(parse_ranges("bytes=0-0", 0, 16, ranges), RangeKind::kUnsatisfiable);
}

TEST(HttpText, H4_RangesThatAreNoneOrTooManyAreTheWhole) {
  std::vector<ByteRange> ranges;
  std::string many = "bytes=0-0";
  for (int i = 0; i < 10'000; i++) many += ",1-1";
  for (const std::string& header :
       {std::string("bytes=5-2"), std::string("bytes=-"), std::string("bytes=--1"),
        std::string("bytes=a-b"), std::string("lines=1-2"), std::string("bytes=1"),
        std::string("bytes="), std::string("bytes=99999999999999999999-"), many,
        std::string("bytes=0-,0-,0-,0-")})
    EXPECT_EQ(parse_ranges(header, 10, 16, ranges), RangeKind::kWhole) << header.substr(0, 40);
  EXPECT_EQ(parse_ranges("bytes=1-1,2-2,3-3", 10, 2, ranges), RangeKind::kWhole);
  // 2^64 in sum: no overflow makes it small.
  EXPECT_EQ(parse_ranges("bytes=0-,0-", uint64_t{1} << 63, 16, ranges), RangeKind::kWhole);
}

TEST(ContentType, ByTheEndOfTheName) {
  EXPECT_EQ(content_type("a/b.HTML"), "text/html; charset=utf-8");
  EXPECT_EQ(content_type("style.css"), "text/css; charset=utf-8");
  EXPECT_EQ(content_type("x.tar.gz"), "application/gzip");
  EXPECT_EQ(content_type("usr/share/doc/x/copyright"), "text/plain; charset=utf-8");
  for (const auto name : {"", "a", "a.", ".html/x", "x.unknown", "html", "x.htmlx"})
    EXPECT_EQ(content_type(name), "application/octet-stream") << name;
}

TEST(HtmlPage, H6_NamesOfAnArchiveAreTextNeverMarkup) {
  const std::string hostile = "<script>alert('x')</script>\"onload=\"y";
  const std::array entries = {ListedEntry{.name = hostile, .size = 2048},
                              ListedEntry{.name = "javascript:alert(1)"}};
  const std::string page = directory_page(hostile, entries, 0);
  EXPECT_EQ(page.find("<script"), std::string::npos);
  EXPECT_EQ(page.find("\"onload"), std::string::npos);
  EXPECT_EQ(page.find("href=\"javascript"), std::string::npos);
  EXPECT_NE(page.find("&lt;script&gt;"), std::string::npos);
  EXPECT_EQ(message_page(404, "Not Found", hostile).find("<script"), std::string::npos);
}

TEST(HtmlPage, ListsNamesSizesDatesAndTheWayUp) {
  const std::array entries = {
      ListedEntry{.name = "sub", .is_directory = true},
      ListedEntry{.name = "sp ace.txt", .size = 1536, .mtime_s = 784111777}};
  const std::string page = directory_page("usr/share doc", entries, 7);
  EXPECT_NE(page.find("<a href=\"./sub/\">sub/</a>"), std::string::npos);
  EXPECT_NE(page.find("<a href=\"./sp%20ace.txt\">sp ace.txt</a>"), std::string::npos);
  EXPECT_NE(page.find("1.5 KiB"), std::string::npos);
  EXPECT_NE(page.find("06 Nov 1994"), std::string::npos);
  EXPECT_NE(page.find("<a href=\"/usr/\">usr</a>"), std::string::npos);
  EXPECT_NE(page.find("9 entries, the first 2 of them shown"), std::string::npos);
  EXPECT_NE(directory_page("", {}, 0).find("Nothing is in here"), std::string::npos);
}

}  // namespace
}  // namespace splitring::http
