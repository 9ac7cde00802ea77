#include "base/result.h"

#include <gtest/gtest.h>

#include <memory>
#include <set>
#include <string>

namespace splitring {
namespace {

Result<int> half(int value) {
  if (value % 2 != 0) return fail(Errc::kInvalid, std::to_string(value) + " is odd");
  return value / 2;
}

Result<int> quarter(int value) {
  const int first = TRY(half(value));
  return half(first);
}

Result<> must_divide(int value, int& reached) {
  TRY_VOID(half(value));
  reached++;
  return {};
}

TEST(Result, TryYieldsTheValueOrReturnsTheError) {
  EXPECT_EQ(quarter(8).value(), 2);
  const auto odd = quarter(6);
  ASSERT_FALSE(odd);
  EXPECT_EQ(odd.error().code, Errc::kInvalid);
  EXPECT_EQ(odd.error().what, "3 is odd");
}

TEST(Result, TryVoidStopsAtTheError) {
  int reached = 0;
  EXPECT_TRUE(must_divide(2, reached));
  EXPECT_FALSE(must_divide(3, reached));
  EXPECT_EQ(reached, 1);
}

TEST(Result, TryMovesWhatCannotBeCopied) {
  const auto make = []() -> Result<std::unique_ptr<int>> { return std::make_unique<int>(7); };
  const auto take = [&]() -> Result<int> {
    const std::unique_ptr<int> owned = TRY(make());
    return *owned;
  };
  EXPECT_EQ(take().value(), 7);
}

TEST(Result, ErrorsFromTheSystemSayWhatAndWhy) {
  const auto error = Result<>(fail_errno("opening x.img", ENOENT)).error();
  EXPECT_EQ(error.code, Errc::kNotFound);
  EXPECT_EQ(error.what, "opening x.img: No such file or directory");
  EXPECT_EQ(Result<>(fail_within("disk a", error)).error().what,
            "disk a: opening x.img: No such file or directory");
  EXPECT_EQ(Result<>(fail_within("disk a", error)).error().code, Errc::kNotFound);
}

TEST(Result, EveryErrnoHasACode) {
  EXPECT_EQ(errc_from_errno(EACCES), Errc::kPermission);
  EXPECT_EQ(errc_from_errno(ENOSPC), Errc::kNoSpace);
  EXPECT_EQ(errc_from_errno(EAGAIN), Errc::kConflict);
  EXPECT_EQ(errc_from_errno(EPIPE), Errc::kClosed);
  EXPECT_EQ(errc_from_errno(ETIMEDOUT), Errc::kTimeout);
  for (int number = 1; number < 200; number++)
    EXPECT_STRNE(to_string(errc_from_errno(number)), "unknown") << number;
}

TEST(Result, EveryCodeHasAWordOfItsOwn) {
  std::set<std::string> words;
  constexpr int kCodes = static_cast<int>(Errc::kTimeout) + 1;
  for (int i = 0; i < kCodes; i++) words.insert(to_string(static_cast<Errc>(i)));
  EXPECT_EQ(words.size(), static_cast<size_t>(kCodes));
  EXPECT_FALSE(words.contains("unknown"));
}

}  // namespace
}  // namespace splitring
