// What every store promises (kv/read_store.h), as a typed suite. A store instantiates it with a
// maker:
//
//   struct Maker {
//     explicit Maker(const StoreTree& tree);   // a store with that in it, and nothing else
//     kv::ReadStore& store();
//   };
//   INSTANTIATE_TYPED_TEST_SUITE_P(Tar, StoreConformance, Maker);
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <set>
#include <string>

#include "kv/read_store.h"

namespace splitring::test {

struct StoreTree {
  std::map<std::string, std::string> values;  // by normal key
  std::set<std::string> dictionaries;         // besides those that hold values
};

// Bytes that compress badly and repeat nowhere.
inline std::string noise(size_t bytes, uint32_t seed) {
  std::mt19937 random(seed);
  std::string text(bytes, '\0');
  for (char& c : text) c = static_cast<char>(random());
  return text;
}

inline std::string all_bytes(kv::ReadStore& store, std::string_view key) {
  auto value = store.open(key);
  if (!value) return "<" + value.error().what + ">";
  kv::ValueStream stream(**value);
  std::string text;
  while (true) {
    const auto bytes = stream.next();
    if (!bytes) return "<" + bytes.error().what + ">";
    if (bytes->empty()) return text;
    text.append(reinterpret_cast<const char*>(bytes->data()), bytes->size());
  }
}

template <class Maker>
class StoreConformance : public testing::Test {
 protected:
  static StoreTree sample() {
    return {{{"a", "1"},
             {"a-b", "beside"},
             {"dir/empty", ""},
             {"dir/sub/deep", "deep value"},
             {"dir/x", noise(1000, 1)},
             {"large", noise(1'100'000, 2)},
             {"odd \"'\n\xff\x01<&>", "odd"},
             {"z", "last"}},
            {"nothing", "dir/none"}};
  }
  static std::vector<std::string> names(kv::ReadStore& store, std::string_view key) {
    std::vector<std::string> names;
    auto children = store.list(key);
    EXPECT_TRUE(children) << children.error().what;
    if (!children) return names;
    for (const kv::Child& child : *children)
      names.push_back(child.name + (child.entry.kind == kv::Kind::kDictionary ? "/" : ""));
    return names;
  }
  static std::vector<std::string> keys(kv::ReadStore& store, std::string_view key) {
    std::vector<std::string> keys;
    const auto done = store.iter(key, [&](const std::string& found, const kv::Entry&) {
      keys.push_back(found);
      return true;
    });
    EXPECT_TRUE(done) << done.error().what;
    return keys;
  }
};
TYPED_TEST_SUITE_P(StoreConformance);

using Names = std::vector<std::string>;

// Of {d: {a: 1, b: 2}}, by hand:
//   sha256(sha256("1") " value a\0" sha256("2") " value b\0") and once more about "d".
inline constexpr std::string_view kDictionaryDigest =
    "08643af2b24ab3e17532c54332a5f6337f64737710952659f9141662835802d4";

TYPED_TEST_P(StoreConformance, EveryValueReadsAsItsBytes) {
  TypeParam maker(this->sample());
  for (const auto& [key, bytes] : this->sample().values) {
    EXPECT_EQ(maker.store().get(key).value_or("<none>"), bytes) << kv::printable_key(key);
    EXPECT_EQ(all_bytes(maker.store(), key), bytes) << kv::printable_key(key);
    EXPECT_EQ(maker.store().size(key).value_or(99), bytes.size());
  }
}

TYPED_TEST_P(StoreConformance, AKeyNamesAValueADictionaryOrNothing) {
  TypeParam maker(this->sample());
  const auto kind = [&](std::string_view key) {
    const auto found = maker.store().exists(key);
    return !found ? "error" : *found ? kv::to_string(**found) : "nothing";
  };
  EXPECT_STREQ(kind("a"), "value");
  EXPECT_STREQ(kind("dir/sub/deep"), "value");
  EXPECT_STREQ(kind("dir"), "dictionary");
  EXPECT_STREQ(kind("dir/sub"), "dictionary");
  EXPECT_STREQ(kind("nothing"), "dictionary");
  EXPECT_STREQ(kind(""), "dictionary");
  EXPECT_STREQ(kind("b"), "nothing");
  EXPECT_STREQ(kind("di"), "nothing");
  EXPECT_STREQ(kind("dir/"), "dictionary");
  EXPECT_STREQ(kind("dir/y"), "nothing");
  EXPECT_STREQ(kind("nothing/x"), "nothing");
}

TYPED_TEST_P(StoreConformance, SpellingsOfAKeyAreOne) {
  TypeParam maker(this->sample());
  for (const char* key : {"/dir/sub/deep", "dir//sub/deep", "///dir/sub///deep//"})
    EXPECT_EQ(maker.store().get(key).value_or("<none>"), "deep value") << key;
  EXPECT_EQ(this->names(maker.store(), "/"), this->names(maker.store(), ""));
}

TYPED_TEST_P(StoreConformance, H1_NoKeyLeadsUpOrHoldsNul) {
  TypeParam maker(this->sample());
  for (const std::string& key :
       {std::string(".."), std::string("dir/../a"), std::string("./a"), std::string("a/."),
        std::string("a\0", 2), std::string(5000, 'k')}) {
    const auto found = maker.store().exists(key);
    ASSERT_FALSE(found) << kv::printable_key(key);
    EXPECT_EQ(found.error().code, Errc::kInvalid);
    EXPECT_EQ(maker.store().get(key).error().code, Errc::kInvalid);
    EXPECT_EQ(maker.store().list(key).error().code, Errc::kInvalid);
  }
}

TYPED_TEST_P(StoreConformance, ADictionaryListsWhatItHoldsByName) {
  TypeParam maker(this->sample());
  EXPECT_EQ(this->names(maker.store(), ""),
            (Names{"a", "a-b", "dir/", "large", "nothing/", "odd \"'\n\xff\x01<&>", "z"}));
  EXPECT_EQ(this->names(maker.store(), "dir"), (Names{"empty", "none/", "sub/", "x"}));
  EXPECT_EQ(this->names(maker.store(), "nothing"), Names{});
}

TYPED_TEST_P(StoreConformance, ListAndFindAgree) {
  TypeParam maker(this->sample());
  for (const char* directory : {"", "dir", "dir/sub"}) {
    const auto children = *maker.store().list(directory);
    for (const kv::Child& child : children) {
      const auto found = maker.store().find(kv::child_key(directory, child.name));
      ASSERT_TRUE(found && *found) << child.name;
      EXPECT_EQ((*found)->kind, child.entry.kind);
      EXPECT_EQ((*found)->size, child.entry.size);
      EXPECT_EQ((*found)->modified_s, child.entry.modified_s);
      EXPECT_EQ((*found)->is_link, child.entry.is_link);
    }
  }
}

TYPED_TEST_P(StoreConformance, IterVisitsEveryValueOnceInOrder) {
  TypeParam maker(this->sample());
  EXPECT_EQ(this->keys(maker.store(), ""), (Names{"a", "a-b", "dir/empty", "dir/sub/deep", "dir/x",
                                                  "large", "odd \"'\n\xff\x01<&>", "z"}));
  EXPECT_EQ(this->keys(maker.store(), "dir"), (Names{"dir/empty", "dir/sub/deep", "dir/x"}));
  EXPECT_EQ(this->keys(maker.store(), "a"), Names{"a"});
  EXPECT_EQ(this->keys(maker.store(), "nothing"), Names{});
}

TYPED_TEST_P(StoreConformance, IterStopsWhereItIsTold) {
  TypeParam maker(this->sample());
  int visited = 0;
  ASSERT_TRUE(maker.store().iter("", [&](const auto&, const auto&) { return ++visited < 3; }));
  EXPECT_EQ(visited, 3);
}

TYPED_TEST_P(StoreConformance, WhatIsMissingSaysSo) {
  TypeParam maker(this->sample());
  kv::ReadStore& store = maker.store();
  EXPECT_EQ(store.get("b").error().code, Errc::kNotFound);
  EXPECT_EQ(store.open("dir/y").error().code, Errc::kNotFound);
  EXPECT_EQ(store.size("b").error().code, Errc::kNotFound);
  EXPECT_EQ(store.list("b").error().code, Errc::kNotFound);
  EXPECT_EQ(store.digest("b").error().code, Errc::kNotFound);
  EXPECT_EQ(store.last_modified("b").error().code, Errc::kNotFound);
  EXPECT_EQ(store.iter("b", [](const auto&, const auto&) { return true; }).error().code,
            Errc::kNotFound);
}

TYPED_TEST_P(StoreConformance, ValuesAndDictionariesAreNotTakenForOneAnother) {
  TypeParam maker(this->sample());
  kv::ReadStore& store = maker.store();
  EXPECT_EQ(store.get("dir").error().code, Errc::kInvalid);
  EXPECT_EQ(store.get("").error().code, Errc::kInvalid);
  EXPECT_EQ(store.size("dir").error().code, Errc::kInvalid);
  EXPECT_EQ(store.list("a").error().code, Errc::kInvalid);
  EXPECT_EQ(store.list("a").error().what, "\"a\" is a value, no dictionary");
}

TYPED_TEST_P(StoreConformance, K3_AnyRangeReadsItsBytesWhateverIsAsked) {
  TypeParam maker(this->sample());
  const std::string whole = this->sample().values.at("large");
  const uint32_t seed = std::random_device()();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  for (int i = 0; i < 200; i++) {
    const uint64_t offset = random() % (whole.size() + 1000);
    const uint64_t length = random() % (i % 10 == 0 ? whole.size() : 10'000);
    const std::string expected =
        offset >= whole.size() ? std::string() : whole.substr(offset, length);
    ASSERT_EQ(maker.store().get_partial("large", offset, length).value_or("<none>"), expected)
        << offset << "+" << length;
  }
  kv::ReadStore& store = maker.store();
  EXPECT_EQ(store.get_partial("a", 0, UINT64_MAX).value_or("<none>"), "1");
  EXPECT_EQ(store.get_partial("a", UINT64_MAX, UINT64_MAX).value_or("<none>"), "");
  EXPECT_EQ(store.get_partial("dir/empty", 0, 10).value_or("<none>"), "");
}

TYPED_TEST_P(StoreConformance, K3_OneCallReturnsNoMoreThanItsLimit) {
  TypeParam maker(this->sample());
  kv::ReadStore& store = maker.store();
  EXPECT_EQ(store.get("large", 1'099'999).error().code, Errc::kLimit);
  EXPECT_EQ(store.get("large", 1'100'000)->size(), 1'100'000U);
  EXPECT_EQ(store.get_partial("large", 5, 11, 10).error().code, Errc::kLimit);
  EXPECT_EQ(store.get_partial("large", 5, 10, 10)->size(), 10U);
}

TYPED_TEST_P(StoreConformance, AStreamReadsAnyPartOfAValue) {
  TypeParam maker(this->sample());
  const std::string whole = this->sample().values.at("large");
  const auto value = *maker.store().open("large");
  for (const auto& [first, length] : {std::pair<uint64_t, uint64_t>{0, 1},
                                      {1, 700'000},
                                      {511, UINT64_MAX},
                                      {whole.size(), 5},
                                      {UINT64_MAX, 5},
                                      {3, 0}}) {
    kv::ValueStream stream(*value, first, length);
    std::string text;
    for (auto bytes = *stream.next(); !bytes.empty(); bytes = *stream.next())
      text.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    EXPECT_EQ(text, first < whole.size() ? whole.substr(first, length) : "");
    EXPECT_TRUE(stream.next()->empty()) << "the end is not the end";
  }
}

TYPED_TEST_P(StoreConformance, PiecesCoverAValueWithoutGap) {
  TypeParam maker(this->sample());
  for (const auto& [key, bytes] : this->sample().values) {
    const auto value = *maker.store().open(key);
    for (uint64_t at = 0; at < value->size();) {
      const kv::Piece piece = value->locate(at);
      uint64_t length = value->size() - at;
      if (const auto* const memory = std::get_if<kv::InMemory>(&piece)) {
        length = memory->bytes.size();
        ASSERT_EQ(std::string_view(reinterpret_cast<const char*>(memory->bytes.data()), length),
                  std::string_view(bytes).substr(at, length));
      } else if (const auto* const disk = std::get_if<kv::OnDisk>(&piece)) {
        length = disk->bytes;
      } else if (const auto* const zeroes = std::get_if<kv::Zeroes>(&piece)) {
        length = zeroes->bytes;
      }
      ASSERT_GT(length, 0U);
      ASSERT_LE(length, value->size() - at);
      at += length;
    }
  }
}

TYPED_TEST_P(StoreConformance, ADigestOfAValueIsTheSha256OfItsBytes) {
  TypeParam maker(this->sample());
  // FIPS 180-4's of nothing; sha256sum's of "1".
  EXPECT_EQ(kv::to_hex(*maker.store().digest("dir/empty")),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(kv::to_hex(*maker.store().digest("a")),
            "6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b");
}

TYPED_TEST_P(StoreConformance, ADigestOfADictionaryChangesWithAnythingInIt) {
  std::set<kv::Digest> seen;
  const auto digest = [&](const StoreTree& tree) {
    TypeParam maker(tree);
    return *maker.store().digest("");
  };
  const StoreTree tree{{{"d/a", "1"}, {"d/b", "2"}}, {}};
  const kv::Digest first = digest(tree);
  EXPECT_EQ(digest(tree), first);
  for (const StoreTree& other :
       {StoreTree{{{"d/a", "1"}, {"d/b", "3"}}, {}}, StoreTree{{{"d/a", "1"}, {"d/c", "2"}}, {}},
        StoreTree{{{"d/a", "1"}}, {}}, StoreTree{{{"d/a", "1"}, {"d/b", "2"}}, {"e"}},
        StoreTree{{{"d/a", "1"}, {"d/b/x", "2"}}, {}}, StoreTree{{{"a", "1"}, {"b", "2"}}, {}}})
    seen.insert(digest(other));
  EXPECT_EQ(seen.size(), 6U);
  EXPECT_EQ(seen.count(first), 0U);
  // The same in every store.
  EXPECT_EQ(kv::to_hex(first), kDictionaryDigest);
}

TYPED_TEST_P(StoreConformance, AnEmptyStoreIsAnEmptyDictionary) {
  TypeParam maker(StoreTree{});
  EXPECT_EQ(this->names(maker.store(), ""), Names{});
  EXPECT_EQ(this->keys(maker.store(), ""), Names{});
  EXPECT_EQ(maker.store().exists("a").value(), std::nullopt);
}

REGISTER_TYPED_TEST_SUITE_P(
    StoreConformance, EveryValueReadsAsItsBytes, AKeyNamesAValueADictionaryOrNothing,
    SpellingsOfAKeyAreOne, H1_NoKeyLeadsUpOrHoldsNul, ADictionaryListsWhatItHoldsByName,
    ListAndFindAgree, IterVisitsEveryValueOnceInOrder, IterStopsWhereItIsTold, WhatIsMissingSaysSo,
    ValuesAndDictionariesAreNotTakenForOneAnother, K3_AnyRangeReadsItsBytesWhateverIsAsked,
    K3_OneCallReturnsNoMoreThanItsLimit, AStreamReadsAnyPartOfAValue, PiecesCoverAValueWithoutGap,
    ADigestOfAValueIsTheSha256OfItsBytes, ADigestOfADictionaryChangesWithAnythingInIt,
    AnEmptyStoreIsAnEmptyDictionary);

}  // namespace splitring::test
