#include "blkimage/disk_uri.h"

#include <gtest/gtest.h>

#include "tests/support/blkimage/scratch_file.h"
#include "tests/support/device_conformance.h"

namespace splitring {
namespace {

std::string error_of(std::string_view uri, const OpenOptions& options = {}) {
  const auto device = DiskSchemes::images().open(uri, options);
  return device ? "opened" : device.error().what;
}

bool contains(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

TEST(DiskUri, HasThreeParts) {
  const DiskUri uri = must(parse_disk_uri("raw:/a/b:c.img?direct=on&mode=r&x="));
  EXPECT_EQ(uri.scheme, "raw");
  EXPECT_EQ(uri.target, "/a/b:c.img");
  ASSERT_EQ(uri.options.size(), 3U);
  EXPECT_EQ(uri.options[1].name, "mode");
  EXPECT_EQ(uri.options[1].value, "r");
  EXPECT_EQ(uri.options[2].value, "");
}

TEST(DiskUri, B35_RefusesControlCharactersAndTakesTheRestAsItStands) {
  using namespace std::string_view_literals;
  for (const auto text : {"raw:/a\0b"sv, "raw:/a\nb"sv, "raw:/a\rb"sv, "raw:/a\x7f"sv, "\n"sv})
    EXPECT_TRUE(contains(parse_disk_uri(text).error().what, "control characters"));
  EXPECT_EQ(must(parse_disk_uri("raw:/a;$(reboot)`x`/../b c")).target, "/a;$(reboot)`x`/../b c");
  EXPECT_FALSE(parse_disk_uri("raw:" + std::string(10'000, 'a')));
}

TEST(DiskUri, RefusesWhatIsMalformed) {
  for (const char* text : {"", ":", "raw:", "raw:?mode=r", "RAW:/a", "1raw:/a", "raw:/a?",
                           "raw:/a?x", "raw:/a?=y", "raw:/a?mode=r&", "raw:/a?mode=r&mode=r"})
    EXPECT_FALSE(parse_disk_uri(text)) << text;
}

TEST(DiskUri, B36_APathWithoutASchemeIsToldToSayItsFormat) {
  for (const char* text : {"/srv/disk.img", "disk.qcow2", "json:{}"}) {
    const std::string error = error_of(text);
    EXPECT_TRUE(contains(error, "raw:PATH")) << error;
  }
}

TEST(DiskSchemes, NameWhatTheyKnow) {
  const std::string scheme = error_of("ftp:x");
  EXPECT_TRUE(contains(scheme, "ftp") && contains(scheme, "raw:PATH, mem:SIZE")) << scheme;
  const ScratchFile file(ScratchFile::Where::kMemory, Sectors{64});
  const std::string option = error_of("raw:" + file.path() + "?cache=none");
  EXPECT_TRUE(contains(option, "no option 'cache'") && contains(option, "direct=on|off|auto") &&
              contains(option, "lock=on|off"))
      << option;
  const std::string value = error_of("raw:" + file.path() + "?direct=yes");
  EXPECT_TRUE(contains(value, "direct=yes: write direct=on|off|auto")) << value;
}

TEST(DiskSchemes, OpenWhatTheUriSays) {
  const ScratchFile file(ScratchFile::Where::kMemory, Sectors{64});
  const DiskSchemes schemes = DiskSchemes::images();
  const auto open = [&](const std::string& uri, bool read_only = false) {
    return must(schemes.open(uri, {.read_only = read_only}));
  };
  EXPECT_FALSE(open("raw:" + file.path())->geometry().read_only);
  EXPECT_TRUE(open("raw:" + file.path() + "?mode=r")->geometry().read_only);
  EXPECT_TRUE(open("raw:" + file.path() + "?mode=w", true)->geometry().read_only);
  EXPECT_EQ(open("raw:" + file.path() + "?block=4096")->geometry().logical_block_bytes, 4096U);
  EXPECT_EQ(open("raw:" + file.path() + "?discard=off")->geometry().discard_granularity_bytes, 0U);
  const auto held = open("raw:" + file.path());
  EXPECT_TRUE(contains(error_of("raw:" + file.path()), "in use"));
  EXPECT_EQ(error_of("raw:" + file.path() + "?lock=off"), "opened");
  EXPECT_EQ(open("mem:64M")->geometry().capacity, Sectors{131072});
  EXPECT_EQ(open("mem:64K?block=4096")->geometry().logical_block_bytes, 4096U);
  EXPECT_TRUE(open("mem:64K", true)->geometry().read_only);
  for (const char* bad : {"mem:x", "mem:0", "mem:513", "mem:512?block=4096", "mem:1M?mode=r"})
    EXPECT_NE(error_of(bad), "opened") << bad;
}

TEST(DiskSchemes, ProgramsAddTheirOwn) {
  DiskSchemes schemes = DiskSchemes::images();
  std::string asked;
  schemes.add("vbd", "vbd:NUMBER",
              [&](const DiskUri& uri, const OpenOptions&) -> Result<std::unique_ptr<BlockDevice>> {
                asked = uri.target;
                return fail(Errc::kNotFound, "nobody serves it");
              });
  const auto device = schemes.open("vbd:xvda", {});
  EXPECT_EQ(asked, "xvda");
  EXPECT_EQ(device.error().what, "vbd:xvda: nobody serves it");
  EXPECT_TRUE(contains(schemes.open("no:x", {}).error().what, "vbd:NUMBER"));
}

}  // namespace
}  // namespace splitring
