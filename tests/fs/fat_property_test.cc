// What holds of every name, time and chain (rapidcheck, which prints the seed of what fails).
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "fs/fat/fat_chain.h"
#include "fs/fat/fat_name.h"
#include "fs/fat/fat_time.h"

namespace splitring {
namespace {

// Characters of all lengths in UTF-8 and UTF-16, and none of the halves of surrogates.
rc::Gen<std::u16string> any_name() {
  const auto unit =
      rc::gen::oneOf(rc::gen::map(rc::gen::elementOf(std::string("abcXYZ019 ._-+[]~%$")),
                                  [](char c) { return static_cast<int>(c); }),
                     rc::gen::inRange<int>(0xa0, 0xd800), rc::gen::inRange<int>(0xe000, 0xfffe),
                     rc::gen::inRange<int>(0x10000, 0x110000));
  return rc::gen::map(rc::gen::container<std::vector<int>>(unit), [](const std::vector<int>& all) {
    std::u16string name;
    for (const int c : all) {
      if (c < 0x10000) {
        name += static_cast<char16_t>(c);
      } else {
        name += static_cast<char16_t>(0xd800 + ((c - 0x10000) >> 10));
        name += static_cast<char16_t>(0xdc00 + ((c - 0x10000) & 0x3ff));
      }
    }
    return name;
  });
}

RC_GTEST_PROP(FatNameProperty, ComesBackFromUtf8AsItWas, ()) {
  const std::u16string name = *any_name();
  const auto utf8 = fat_utf8(name);
  RC_ASSERT(utf8.has_value());
  const auto back = fat_utf16(*utf8);
  RC_ASSERT(back.has_value());
  RC_ASSERT(*back == name);
}

RC_GTEST_PROP(FatNameProperty, BytesThatAreNoUtf8AreRefusedAndOthersComeBack, ()) {
  const auto bytes = *rc::gen::container<std::string>(rc::gen::arbitrary<char>());
  const auto name = fat_utf16(bytes);
  if (name) RC_ASSERT(fat_utf8(*name) == bytes);
}

RC_GTEST_PROP(FatNameProperty, WhatIsAcceptedMayBeShownAndIsAcceptedAgain, ()) {
  const std::u16string given = *any_name();
  const auto checked = fat_checked_name(*fat_utf8(given));
  if (!checked) return;
  RC_ASSERT(fat_is_showable(*checked));
  RC_ASSERT(checked->size() <= 255U);
  RC_ASSERT(given.starts_with(*checked));
  const auto again = fat_checked_name(*fat_utf8(*checked));
  RC_ASSERT(again.has_value());
  RC_ASSERT(*again == *checked);
}

RC_GTEST_PROP(FatNameProperty, FoldingTwiceIsFoldingOnce, ()) {
  const std::u16string folded = fat_folded(*any_name());
  RC_ASSERT(fat_folded(folded) == folded);
}

RC_GTEST_PROP(FatNameProperty, AShortNameThatSaysAllOfANameShowsIt, ()) {
  const auto checked = fat_checked_name(*fat_utf8(*any_name()));
  if (!checked) return;
  const FatAlias alias = fat_alias(*checked);
  RC_ASSERT(alias.name[0] != ' ');
  for (const uint8_t byte : alias.name) RC_ASSERT(byte < 0x80 && (byte < 'a' || byte > 'z'));
  if (!alias.needs_long) RC_ASSERT(fat_shown(alias.name, alias.nt_bits) == *checked);
}

RC_GTEST_PROP(FatNameProperty, EveryNumberMakesAnotherShortName, ()) {
  const auto checked = fat_checked_name(*fat_utf8(*any_name()));
  if (!checked) return;
  const FatAlias alias = fat_alias(*checked);
  std::set<FatShortName> all;
  const auto numbers =
      *rc::gen::unique<std::vector<uint32_t>>(rc::gen::inRange<uint32_t>(1, 1'000'000));
  for (const uint32_t number : numbers) all.insert(fat_numbered(alias.name, number));
  RC_ASSERT(all.size() == numbers.size());
}

RC_GTEST_PROP(FatTimeProperty, AMomentComesBackToTenMilliseconds, ()) {
  constexpr int64_t k1980 = 315'532'800;
  constexpr int64_t k2108 = 4'354'819'200;
  const FatTime moment{*rc::gen::inRange(k1980, k2108),
                       *rc::gen::inRange<uint32_t>(0, 1'000'000'000)};
  const FatTime back = fat_time(fat_stamp(moment, true), true);
  RC_ASSERT(back.s == moment.s);
  RC_ASSERT(back.ns == moment.ns / 10'000'000 * 10'000'000);
}

// Against a vector of all its clusters.
RC_GTEST_PROP(FatChainProperty, IsWhatWasAppendedLessWhatWasCut, ()) {
  FatChain chain;
  std::vector<uint32_t> model;
  const auto steps = *rc::gen::container<std::vector<std::pair<uint32_t, uint32_t>>>(
      rc::gen::pair(rc::gen::inRange<uint32_t>(2, 50), rc::gen::inRange<uint32_t>(0, 6)));
  for (const auto& [first, count] : steps) {
    if (count == 0) {
      const size_t keep = first % (model.size() + 1);
      std::vector<uint32_t> freed;
      for (const FatRun& run : chain.cut(keep))
        for (uint32_t i = 0; i < run.count; i++) freed.push_back(run.first + i);
      RC_ASSERT(std::ranges::equal(freed, std::span(model).subspan(keep)));
      model.resize(keep);
    } else {
      chain.append({first, count});
      for (uint32_t i = 0; i < count; i++) model.push_back(first + i);
    }
    RC_ASSERT(chain.count() == model.size());
    for (size_t i = 0; i < model.size(); i++) RC_ASSERT(chain.at(i).first == model[i]);
    RC_ASSERT(chain.last() == (model.empty() ? 0 : model.back()));
  }
}

}  // namespace
}  // namespace splitring
