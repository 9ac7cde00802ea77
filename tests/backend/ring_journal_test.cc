// What a process that was killed leaves of a ring, and what the next one makes of it.
#include "backend/ring_journal.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstring>
#include <fstream>

namespace splitring::backend {
namespace {

constexpr JournalShape kShape{.token = 0x1234567890abcdef, .slots = 32, .abi = 1};
// Where docs say that they lie, written apart from the code on purpose.
constexpr std::streamoff kTokenAt = 8, kConsumedAt = 32, kEntriesAt = 4096, kEntryBytes = 128;

class JournalFile : public ::testing::Test {
 protected:
  JournalFile() {
    std::string name = (std::filesystem::temp_directory_path() / "journal-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("mkdtemp");
    folder = name;
    path = folder / "vbd-1-51712-0";
  }
  ~JournalFile() override { std::filesystem::remove_all(folder); }

  static RingJournal must(Result<RingJournal> journal) {
    if (!journal) throw std::runtime_error(journal.error().what);
    return std::move(*journal);
  }
  static void take(RingJournal& journal, uint32_t slot, uint8_t seed) {
    std::array<std::byte, kJournalRequestBytes> request;
    request.fill(std::byte{seed});
    journal.taken(slot, request);
  }
  void poke(std::streamoff at, uint64_t value) const {
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(at);
    file.write(reinterpret_cast<const char*>(&value), sizeof value);
  }
  [[nodiscard]] Errc refusal(const JournalShape& shape = kShape) const {
    const auto opened = RingJournal::open(path, shape);
    return opened ? throw std::runtime_error("it was opened") : opened.error().code;
  }

  std::filesystem::path folder;
  std::filesystem::path path;
};

TEST_F(JournalFile, TellsWhatWasTakenAndNotAnsweredInTheOrderOfTheRing) {
  {
    RingJournal journal = must(RingJournal::create(path, kShape));
    journal.start_at(0xfffffffe);
    take(journal, 9, 1);
    take(journal, 3, 2);
    take(journal, 7, 3);
    journal.answered(9);
    take(journal, 9, 4);
    journal.answered(3);
  }
  const RingJournal found = must(RingJournal::open(path, kShape));
  EXPECT_EQ(found.consumed_index(), 2U);
  EXPECT_EQ(found.unanswered(), (std::vector<uint32_t>{7, 9}));
  EXPECT_EQ(found.request(7).back(), std::byte{3});
  EXPECT_EQ(found.request(9).front(), std::byte{4});
}

// Killed between the two stores of taking: the ring still has it.
TEST_F(JournalFile, ForgetsARequestThatWasOnlyAboutToBeTaken) {
  {
    RingJournal journal = must(RingJournal::create(path, kShape));
    journal.start_at(5);
    take(journal, 0, 1);
    take(journal, 1, 2);
  }
  poke(kConsumedAt, 6);
  const RingJournal found = must(RingJournal::open(path, kShape));
  EXPECT_EQ(found.consumed_index(), 6U);
  EXPECT_EQ(found.unanswered(), std::vector<uint32_t>{0});
}

TEST_F(JournalFile, IsOpenInOneProcessAtATime) {
  {
    const RingJournal journal = must(RingJournal::create(path, kShape));
    EXPECT_TRUE(RingJournal::in_use(path));
    EXPECT_EQ(refusal(), Errc::kBusy);
  }
  EXPECT_FALSE(RingJournal::in_use(path));
  EXPECT_TRUE(RingJournal::open(path, kShape));
}

TEST_F(JournalFile, IsRefusedForAnotherRing) {
  must(RingJournal::create(path, kShape));
  JournalShape other = kShape;
  other.token++;
  EXPECT_EQ(refusal(other), Errc::kInvalid);
  other = kShape;
  other.slots = 64;
  EXPECT_EQ(refusal(other), Errc::kInvalid);
  other = kShape;
  other.abi = 2;
  EXPECT_EQ(refusal(other), Errc::kInvalid);
  EXPECT_TRUE(RingJournal::open(path, kShape));
}

TEST_F(JournalFile, IsRefusedIfItCannotBeTrue) {
  const auto spoilt = [&](std::streamoff at, uint64_t value) {
    RingJournal journal = must(RingJournal::create(path, kShape));
    take(journal, 0, 1);
    poke(at, value);
  };
  spoilt(0, 0);
  EXPECT_EQ(refusal(), Errc::kInvalid) << "another magic";
  spoilt(kTokenAt, 0);
  EXPECT_EQ(refusal(), Errc::kInvalid) << "another token";
  spoilt(kEntriesAt + 31 * kEntryBytes, 1);
  EXPECT_EQ(refusal(), Errc::kInvalid) << "a state that is neither";
  spoilt(kEntriesAt + 31 * kEntryBytes, (uint64_t{1} << 63) + 2);
  EXPECT_EQ(refusal(), Errc::kInvalid) << "a request after the last";
  std::filesystem::resize_file(path, 4096);
  EXPECT_EQ(refusal(), Errc::kInvalid) << "cut off";
  std::filesystem::remove(path);
  EXPECT_EQ(refusal(), Errc::kNotFound);
  std::filesystem::create_symlink("/dev/zero", path);
  EXPECT_NE(refusal(), Errc::kBusy) << "a link is not followed";
}

TEST_F(JournalFile, IsReadableForItsOwnerOnly) {
  must(RingJournal::create(path, kShape));
  struct stat status;
  ASSERT_EQ(::stat(path.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777U, 0600U);
}

}  // namespace
}  // namespace splitring::backend
