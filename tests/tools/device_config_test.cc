#include "tools/common/device_config.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

namespace splitring::tools {
namespace {

class DeviceConfig : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = testing::TempDir() + "devices-XXXXXX";
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    directory_ = name;
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  Result<std::vector<NamedDisk>> read(std::string_view text) {
    std::ofstream(path()) << text;
    return read_device_config(path());
  }
  std::string refusal(std::string_view text) {
    const auto disks = read(text);
    if (disks) return "<taken>";
    const std::string& what = disks.error().what;
    return what.starts_with(path()) ? "devices.toml" + what.substr(path().size()) : what;
  }
  [[nodiscard]] std::string path() const { return directory_ / "devices.toml"; }

  std::filesystem::path directory_;
};

TEST_F(DeviceConfig, NamesDisksInBothForms) {
  const auto disks = read(
      "# what is meant here\n"
      "[devices]\n"
      "content = \"raw:/srv/site.tar?direct=on\"\n"
      "uploads = { disk = \"vbd:xvda\", read_only = true }\n");
  ASSERT_TRUE(disks) << disks.error().what;
  ASSERT_EQ(disks->size(), 2U);
  EXPECT_EQ((*disks)[0].name, "content");
  EXPECT_EQ((*disks)[0].uri, "raw:/srv/site.tar?direct=on");
  EXPECT_FALSE((*disks)[0].read_only);
  EXPECT_EQ((*disks)[0].place, path() + ":3");
  EXPECT_EQ((*disks)[1].uri, "vbd:xvda");
  EXPECT_TRUE((*disks)[1].read_only);
}

TEST_F(DeviceConfig, PathsAreRelativeToTheFile) {
  const auto disks = read("[devices]\na = \"raw:images/../a.tar?mode=r\"\n");
  ASSERT_TRUE(disks) << disks.error().what;
  EXPECT_EQ(disks->front().uri, "raw:" + (directory_ / "a.tar?mode=r").string());
  const auto packed =
      read("[devices]\na = \"gz:raw\"\nb = \"gz:raw:raw?mode=r\"\nc = \"zst:vbd:xvda\"\n");
  ASSERT_TRUE(packed) << packed.error().what;
  EXPECT_EQ((*packed)[0].uri, "gz:" + (directory_ / "raw").string());
  EXPECT_EQ((*packed)[1].uri, "gz:raw:" + (directory_ / "raw?mode=r").string());
  EXPECT_EQ((*packed)[2].uri, "zst:vbd:xvda");
  const auto parts = read(
      "[devices]\na = \"raw:1#1?mode=r\"\nb = \"gz:raw:a#1#2\"\nc = \"zst:a#1\"\nd = "
      "\"raw:a#b\"\n");
  ASSERT_TRUE(parts) << parts.error().what;
  EXPECT_EQ((*parts)[0].uri, "raw:" + (directory_ / "1#1?mode=r").string());
  EXPECT_EQ((*parts)[1].uri, "gz:raw:" + (directory_ / "a#1#2").string());
  EXPECT_EQ((*parts)[2].uri, "zst:" + (directory_ / "a#1").string());
  EXPECT_EQ((*parts)[3].uri, "raw:" + (directory_ / "a#b").string());
}

TEST_F(DeviceConfig, AnErrorNamesItsLineAndColumn) {
  EXPECT_EQ(refusal("[devices]\ncontent = 5\n"),
            "devices.toml:2:11: content is neither a disk nor a table: write content = "
            "\"raw:PATH\" or content = { disk = \"vbd:xvda\", read_only = true }");
  EXPECT_TRUE(refusal("[devices]\n\n  a = \"b\n").starts_with("devices.toml:3:")) << refusal("");
  EXPECT_TRUE(refusal("[devices]\na = \"no scheme\"\n").starts_with("devices.toml:2:5: a: "));
  EXPECT_EQ(refusal("[devices]\na = { disk = \"mem:1M\", mode = \"r\" }\n"),
            "devices.toml:2:24: a.mode: no such setting; there are disk and read_only");
  EXPECT_EQ(refusal("[devices]\na = { read_only = true }\n"),
            "devices.toml:2:5: a names no disk: add disk = \"...\"");
  EXPECT_EQ(refusal("[devices]\na = { disk = \"mem:1M\", read_only = \"yes\" }\n"),
            "devices.toml:2:36: a.read_only is neither true nor false");
  EXPECT_EQ(refusal("[devices]\na = \"mem:1M\"\na = \"mem:2M\"\n").substr(0, 15),
            "devices.toml:3:");
}

TEST_F(DeviceConfig, WhatIsMissingOrUnknownIsSaid) {
  EXPECT_EQ(refusal(""), "devices.toml: there is no section [devices]");
  EXPECT_EQ(refusal("devices = 1\n"), "devices.toml: there is no section [devices]");
  EXPECT_EQ(refusal("[devices]\n[disks]\n"),
            "devices.toml:2:2: disks: no such section; there is [devices] only");
  EXPECT_EQ(read_device_config(directory_ / "none.toml").error().code, Errc::kNotFound);
}

TEST_F(DeviceConfig, H6_NamesAndTextsOfTheFileCannotDrawOnATerminal) {
  EXPECT_EQ(refusal("[devices]\n\"\\u001b[31m\" = \"mem:1M\"\n").find('\x1b'), std::string::npos);
  EXPECT_EQ(refusal("[devices]\na = \"raw:\\u001b[31m\"\n").find('\x1b'), std::string::npos);
  EXPECT_EQ(refusal("[devices]\na = { \"\\u001b\" = 1 }\n").find('\x1b'), std::string::npos);
}

TEST_F(DeviceConfig, NamesAreShortAndPlain) {
  for (const char* name : {"\"\"", "Content", "\"a b\"", "\"a/b\"", "\"..\""})
    EXPECT_NE(refusal("[devices]\n" + std::string(name) + " = \"mem:1M\"\n")
                  .find("a name is 1 to 32 of a-z"),
              std::string::npos)
        << name;
  std::string many = "[devices]\n";
  for (int i = 0; i < 65; i++) many += "d" + std::to_string(i) + " = \"mem:1M\"\n";
  EXPECT_NE(refusal(many).find("more than 64 devices"), std::string::npos);
}

}  // namespace
}  // namespace splitring::tools
