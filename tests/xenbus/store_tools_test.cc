// Debian's own xenstore tools as clients of the emulated host's store.
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <utility>

#include "tests/support/xenbus/served_store.h"

namespace splitring {
namespace {

using test::ServedStore;

// One run of a command with XENSTORED_PATH set; what it says is read line by line.
class Tool {
 public:
  Tool(const ServedStore& host, uint16_t domain, const std::string& command)
      : pipe_(popen(
            ("XENSTORED_PATH=" + host.socket(domain).native() + " " + command + " 2>&1").c_str(),
            "r")) {
    EXPECT_NE(pipe_, nullptr);
  }
  Tool(const Tool&) = delete;
  Tool& operator=(const Tool&) = delete;
  ~Tool() {
    if (pipe_) pclose(pipe_);
  }

  std::string line() {
    std::array<char, 8192> text{};
    return fgets(text.data(), text.size(), pipe_) ? text.data() : "";
  }
  std::string rest() {
    std::string all;
    for (std::string each = line(); !each.empty(); each = line()) all += each;
    return all;
  }
  int exit_code() { return WEXITSTATUS(pclose(std::exchange(pipe_, nullptr))); }

 private:
  FILE* pipe_;
};

class StoreTools : public testing::Test {
 protected:
  // What it says, with "exit N" behind it if it failed.
  std::string run(const std::string& command, uint16_t domain = 0) {
    Tool tool(host_, domain, command);
    std::string said = tool.rest();
    const int code = tool.exit_code();
    if (code != 0) said += "exit " + std::to_string(code);
    return said;
  }

  ServedStore host_{5};
};

TEST_F(StoreTools, WriteReadListExistsAndRemove) {
  EXPECT_EQ(run("xenstore-write /tool/a/x 1 /tool/a/y two"), "");
  EXPECT_EQ(run("xenstore-read /tool/a/x /tool/a/y"), "1\ntwo\n");
  EXPECT_EQ(run("xenstore-read -p /tool/a/y"), "/tool/a/y: two\n");
  EXPECT_EQ(run("xenstore-list /tool/a"), "x\ny\n");
  EXPECT_EQ(run("xenstore-exists /tool/a/x"), "");
  EXPECT_EQ(run("xenstore-exists /tool/b"), "exit 1");
  EXPECT_EQ(run("xenstore-rm /tool/a"), "");
  EXPECT_EQ(run("xenstore-read /tool/a/x"), "xenstore-read: couldn't read path /tool/a/x\nexit 1");
}

TEST_F(StoreTools, RemoveTidilyTakesEmptyParents) {
  EXPECT_EQ(run("xenstore-write /tool/a/b/c 1"), "");
  EXPECT_EQ(run("xenstore-rm -t /tool/a/b/c"), "");
  EXPECT_EQ(run("xenstore-exists /tool/a"), "exit 1");
}

TEST_F(StoreTools, ListShowsTheTreeWithPermissions) {
  EXPECT_EQ(run("xenstore-write /tool/a/x 1 /tool/b ''"), "");
  EXPECT_EQ(run("xenstore-chmod /tool/a/x n5 r0 w7"), "");
  EXPECT_EQ(run("xenstore-ls /tool"), "a = \"\"\n x = \"1\"\nb = \"\"\n");
  EXPECT_EQ(run("xenstore-ls -f -p /tool/a"), "/tool/a/x = \"1\"   (n5,r0,w7)\n");
  const std::string all = run("xenstore-ls /");
  EXPECT_NE(all.find("  5 = \"\"\n   domid = \"5\"\n"), std::string::npos) << all;
}

TEST_F(StoreTools, ListCopesWithDirectoriesThatDoNotFitAFrame) {
  const auto store = host_.open(0);
  for (int i = 1000; i < 2000; i++)
    ASSERT_TRUE(store->now().write("/tool/many/entry-" + std::to_string(i), ""));
  const std::string names = run("xenstore-list /tool/many");
  EXPECT_EQ(std::count(names.begin(), names.end(), '\n'), 1000);
}

TEST_F(StoreTools, GuestSeesItsOwnNodesOnly) {
  EXPECT_EQ(run("xenstore-write data/x 1", 5), "");
  EXPECT_EQ(run("xenstore-read /local/domain/5/data/x data/x", 5), "1\n1\n");
  EXPECT_EQ(run("xenstore-list /tool", 5), "xenstore-list: could not list path /tool\nexit 1");
  EXPECT_NE(run("xenstore-write /tool/x 1", 5).find("exit 1"), std::string::npos);
  EXPECT_EQ(run("xenstore-chmod data/x n5 r0", 5), "");
  EXPECT_EQ(run("xenstore-ls -f -p data", 5), "data/x = \"1\"   (n5,r0)\n");
}

TEST_F(StoreTools, WatchTellsWhatChanges) {
  Tool watcher(host_, 0, "xenstore-watch -n 3 /tool");
  EXPECT_EQ(watcher.line(), "/tool\n");
  EXPECT_EQ(run("xenstore-write /tool/a 1"), "");
  EXPECT_EQ(watcher.line(), "/tool/a\n");
  EXPECT_EQ(run("xenstore-rm /tool/a"), "");
  EXPECT_EQ(watcher.line(), "/tool/a\n");
  EXPECT_EQ(watcher.exit_code(), 0);
}

}  // namespace
}  // namespace splitring
