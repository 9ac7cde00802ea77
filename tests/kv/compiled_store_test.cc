#include "kv/compiled_store.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "tests/support/kv/compiled_bytes.h"

namespace splitring {
namespace {

using kv::CompiledStore;
using test::compiled_bytes;

std::span<const std::byte> bytes_of(const std::string& text) {
  return std::as_bytes(std::span(text));
}

TEST(CompiledStore, EqualContentsAreKeptOnce) {
  const std::string body(10'000, 'x');
  const std::string one = compiled_bytes({{"a", body}, {"c", "other"}});
  const std::string two = compiled_bytes({{"a", body}, {"b/deep", body}, {"c", "other"}});
  EXPECT_LT(two.size(), one.size() + 500);
  const auto store = *CompiledStore::load(bytes_of(two));
  EXPECT_EQ(*store->get("b/deep"), body);
}

TEST(CompiledStore, TheOrderOfMembersDoesNotMatter) {
  std::vector<kv::CompiledMember> members;
  for (const char* key : {"z", "a/b", "a-b", "a/c/d", "m"})
    members.push_back({.key = key, .kind = kv::Kind::kValue, .size = 1});
  const std::string front = kv::lay_out(members).front;
  std::mt19937 random(7);
  for (int i = 0; i < 20; i++) {
    std::shuffle(members.begin(), members.end(), random);
    EXPECT_EQ(kv::lay_out(members).front, front);
  }
}

TEST(CompiledStore, AValueIsTheProgramsOwnMemory) {
  const std::string image = compiled_bytes({{"a", "12345"}});
  const auto store = *CompiledStore::load(reinterpret_cast<const unsigned char*>(image.data()));
  const auto value = *store->open("a");
  const auto piece = std::get<kv::InMemory>(value->locate(2));
  EXPECT_EQ(piece.bytes.size(), 3U);
  EXPECT_GE(piece.bytes.data(), bytes_of(image).data());
  EXPECT_EQ(kv::ValueStream(*value, 2).next()->data(), piece.bytes.data());
}

TEST(CompiledStore, TimesAreWhatTheyWereMadeWith) {
  const auto known = compiled_bytes({{"a", "1"}}, {}, -5);
  EXPECT_EQ((*CompiledStore::load(bytes_of(known)))->last_modified("a").value(), -5);
  const auto unknown = compiled_bytes({{"a", "1"}});
  EXPECT_EQ((*CompiledStore::load(bytes_of(unknown)))->last_modified("a").value(), std::nullopt);
}

TEST(CompiledStore, K1_WhatIsDamagedIsRefusedOrReadsWithinItself) {
  const std::string good = compiled_bytes({{"a", "1"}, {"dir/b", "22"}, {"dir/c", ""}}, {"e"});
  for (size_t at = 0; at < good.size(); at++) {
    for (int bit = 0; bit < 8; bit++) {
      std::string bad = good;
      bad[at] = static_cast<char>(bad[at] ^ (1 << bit));
      const auto store = CompiledStore::load(bytes_of(bad));
      if (!store) continue;
      // No more than that nothing outside is touched, and that it ends.
      const auto done = (*store)->iter("", [&](const std::string& key, const kv::Entry&) {
        EXPECT_TRUE((*store)->get(key));
        return true;
      });
      EXPECT_TRUE(done);
    }
  }
  for (size_t length = 0; length < good.size(); length++)
    EXPECT_FALSE(CompiledStore::load(bytes_of(good).first(length))) << length;
}

}  // namespace
}  // namespace splitring
