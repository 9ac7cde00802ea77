// The rules of the emulated hypervisor, one by one.
#include "grant/emulated_hypervisor.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <vector>

namespace splitring {
namespace {

constexpr DomId kBackend{0};
constexpr DomId kFrontend{1};
constexpr DomId kStranger{2};

class Rules : public ::testing::Test {
 protected:
  explicit Rules(const HypervisorLimits& limits = {}) : rules_(limits) {
    for (const DomId id : {kBackend, kFrontend, kStranger}) EXPECT_TRUE(rules_.create_domain(id));
    back_ = rules_.open_handle(kBackend).value();
    front_ = rules_.open_handle(kFrontend).value();
    stranger_ = rules_.open_handle(kStranger).value();
  }

  // Of the frontend, to the backend.
  std::vector<GrantRef> share(size_t pages, Access access = Access::kReadWrite) {
    std::vector<GrantRef> refs(pages);
    last_share_ = rules_.share(front_, kBackend, access, nullptr, refs).value();
    return refs;
  }
  Result<> map(HandleId handle, uint64_t token, std::span<const GrantRef> refs,
               Access access = Access::kReadWrite) {
    std::vector<GrantedPage> pages(refs.size());
    return rules_.map(handle, token, kFrontend, refs, access, pages);
  }
  DomainCounts counts(DomId domain) { return rules_.counts(domain).value(); }

  EmulatedHypervisor rules_;
  HandleId back_{};
  HandleId front_{};
  HandleId stranger_{};
  ShareId last_share_{};
};

// ---- grants
// --------------------------------------------------------------------------------------

TEST_F(Rules, OnlyTheDomainThatAPageWasGrantedToMayMapIt) {
  const auto refs = share(1);
  EXPECT_EQ(map(stranger_, 1, refs).error().code, Errc::kInvalid);
  EXPECT_EQ(map(front_, 1, refs).error().code, Errc::kInvalid) << "not even its owner";
  EXPECT_TRUE(map(back_, 1, refs));
}

TEST_F(Rules, AReadOnlyGrantIsMappedByReadersOnly) {
  const auto refs = share(1, Access::kReadOnly);
  EXPECT_EQ(map(back_, 1, refs, Access::kReadWrite).error().code, Errc::kInvalid);
  EXPECT_TRUE(map(back_, 1, refs, Access::kReadOnly));
}

TEST_F(Rules, PagesOfAShareAreThoseOfItsSourceInOrder) {
  const auto source = std::make_shared<PageSource>();
  std::array<GrantRef, 3> refs;
  ASSERT_TRUE(rules_.share(front_, kBackend, Access::kReadWrite, source, refs));
  std::array<GrantedPage, 3> pages;
  ASSERT_TRUE(rules_.map(back_, 1, kFrontend, refs, Access::kReadOnly, pages));
  for (uint32_t i = 0; i < 3; i++) {
    EXPECT_EQ(pages[i].source, source);
    EXPECT_EQ(pages[i].index, i);
  }
}

TEST_F(Rules, TheFirstReferencesAreNeverGivenOut) {
  for (const GrantRef ref : share(100)) EXPECT_GE(raw(ref), 8u);  // reserved by Xen
}

TEST_F(Rules, B26_ABadReferenceAtAnyPlaceOfABatchLeavesNothingPinned) {
  auto refs = share(8);
  const auto revoked = share(1);
  ASSERT_TRUE(rules_.end_share(front_, last_share_));
  const auto read_only = share(1, Access::kReadOnly);
  for (const GrantRef bad :
       {GrantRef{0}, GrantRef{7}, GrantRef{5000}, GrantRef{0xffffffff}, revoked[0], read_only[0]}) {
    for (size_t place = 0; place < refs.size(); place++) {
      const GrantRef good = std::exchange(refs[place], bad);
      const auto mapped = map(back_, 1, refs);
      ASSERT_FALSE(mapped) << raw(bad) << " at " << place;
      EXPECT_EQ(mapped.error().code, Errc::kInvalid);
      EXPECT_NE(mapped.error().what.find("grant " + std::to_string(raw(bad)) + " "),
                std::string::npos)
          << mapped.error().what;
      EXPECT_EQ(counts(kBackend).pins, 0u);
      refs[place] = good;
    }
  }
  EXPECT_TRUE(map(back_, 1, refs)) << "the token of a refused batch is free";
}

TEST_F(Rules, AGrantIsMapped128TimesAndNoMore) {
  const auto refs = share(2);
  ASSERT_TRUE(map(back_, 1, std::vector<GrantRef>(100, refs[0])));
  std::vector<GrantRef> more(29, refs[0]);
  more.front() = refs[1];
  EXPECT_TRUE(map(back_, 2, more));
  EXPECT_EQ(map(back_, 3, more).error().code, Errc::kLimit);
  EXPECT_EQ(counts(kBackend).pins, 129U) << "a refused batch leaves nothing pinned";
  ASSERT_TRUE(rules_.unmap(back_, 2));
  EXPECT_TRUE(map(back_, 3, more));
}

TEST_F(Rules, B25_OneReferenceManyTimesInABatchIsPinnedAsOften) {
  const auto refs = share(1);
  const std::vector<GrantRef> many(11, refs[0]);
  ASSERT_TRUE(map(back_, 1, many));
  EXPECT_EQ(counts(kBackend).pins, 11u);
  ASSERT_TRUE(rules_.end_share(front_, last_share_));
  EXPECT_EQ(counts(kFrontend).quarantined, 1u);
  ASSERT_TRUE(rules_.unmap(back_, 1));
  EXPECT_EQ(counts(kBackend).pins, 0u);
  EXPECT_EQ(counts(kFrontend), (DomainCounts{.handles = 1}));
}

TEST_F(Rules, F11_AGrantEndedWhileMappedIsInQuarantineAndItsReferenceUnused) {
  const auto refs = share(2);
  ASSERT_TRUE(map(back_, 1, std::span(refs).first(1)));
  ASSERT_TRUE(rules_.end_share(front_, last_share_));
  EXPECT_EQ(rules_.quarantined(front_), 1u);
  EXPECT_EQ(map(back_, 2, refs).error().code, Errc::kInvalid) << "no new mapping of it";
  // Everything else is given out before it, and never it.
  const auto others = share(1023);
  EXPECT_EQ(std::ranges::count(others, refs[0]), 0);
  EXPECT_EQ(std::ranges::count(others, refs[1]), 1);
  std::vector<GrantRef> one_more(1);
  EXPECT_EQ(rules_.share(front_, kBackend, Access::kReadWrite, nullptr, one_more).error().code,
            Errc::kLimit)
      << "the page in quarantine counts";
  ASSERT_TRUE(rules_.unmap(back_, 1));
  EXPECT_EQ(rules_.quarantined(front_), 0u);
  EXPECT_EQ(share(1), std::vector{refs[0]});
}

TEST_F(Rules, QuarantineLastsUntilTheLastMapperLetsGo) {
  const auto refs = share(1);
  const HandleId second = rules_.open_handle(kBackend).value();
  ASSERT_TRUE(map(back_, 1, refs));
  ASSERT_TRUE(map(second, 1, refs)) << "tokens are of a handle";
  ASSERT_TRUE(rules_.end_share(front_, last_share_));
  ASSERT_TRUE(rules_.unmap(back_, 1));
  EXPECT_EQ(rules_.quarantined(front_), 1u);
  rules_.close_handle(second);
  EXPECT_EQ(rules_.quarantined(front_), 0u);
}

TEST_F(Rules, ClosingAHandleTakesBackAllThatWasMadeThroughIt) {
  const auto refs = share(4);
  ASSERT_TRUE(map(back_, 1, refs));
  const auto bell = rules_.offer(back_, kFrontend, nullptr).value();
  ASSERT_TRUE(rules_.bind(front_, kBackend, bell.port));
  rules_.close_handle(back_);
  EXPECT_EQ(counts(kBackend), DomainCounts{});
  rules_.close_handle(front_);
  EXPECT_EQ(counts(kFrontend), DomainCounts{});
  rules_.close_handle(front_);  // once is enough, twice does no harm
  EXPECT_EQ(counts(kFrontend), DomainCounts{});
}

TEST_F(Rules, AHandleCannotEndWhatAnotherMade) {
  const auto refs = share(1);
  ASSERT_TRUE(map(back_, 1, refs));
  const auto bell = rules_.offer(front_, kBackend, nullptr).value();
  const HandleId second = rules_.open_handle(kFrontend).value();
  EXPECT_EQ(rules_.end_share(second, last_share_).error().code, Errc::kInvalid);
  EXPECT_EQ(rules_.close_port(second, bell.port).error().code, Errc::kInvalid);
  EXPECT_EQ(rules_.unmap(second, 1).error().code, Errc::kInvalid);
  EXPECT_EQ(rules_.unmap(back_, 2).error().code, Errc::kInvalid);
  EXPECT_EQ(counts(kBackend).pins, 1u);
}

TEST_F(Rules, ATokenInUseIsRefused) {
  const auto refs = share(1);
  ASSERT_TRUE(map(back_, 1, refs));
  EXPECT_EQ(map(back_, 1, refs).error().code, Errc::kExists);
  EXPECT_EQ(counts(kBackend).pins, 1u);
}

TEST_F(Rules, ADomainMayGrantToItself) {
  std::array<GrantRef, 1> refs;
  ASSERT_TRUE(rules_.share(back_, kBackend, Access::kReadWrite, nullptr, refs));
  std::array<GrantedPage, 1> pages;
  EXPECT_TRUE(rules_.map(back_, 1, kBackend, refs, Access::kReadWrite, pages));
  const auto bell = rules_.offer(back_, kBackend, nullptr).value();
  EXPECT_TRUE(rules_.bind(back_, kBackend, bell.port));
  ASSERT_TRUE(rules_.destroy_domain(kBackend));
}

// ---- ports
// ---------------------------------------------------------------------------------------

TEST_F(Rules, B11_APortIsBoundByItsPeerOnlyAndOnceOnly) {
  const auto bell = rules_.offer(front_, kBackend, nullptr).value();
  EXPECT_EQ(rules_.bind(stranger_, kFrontend, bell.port).error().code, Errc::kInvalid);
  EXPECT_EQ(rules_.bind(front_, kFrontend, bell.port).error().code, Errc::kInvalid);
  EXPECT_EQ(rules_.bind(back_, kFrontend, Port{raw(bell.port) + 1}).error().code, Errc::kInvalid);
  EXPECT_EQ(rules_.bind(back_, kFrontend, Port{0}).error().code, Errc::kInvalid);
  EXPECT_EQ(rules_.bind(back_, kStranger, bell.port).error().code, Errc::kInvalid);
  ASSERT_TRUE(rules_.bind(back_, kFrontend, bell.port));
  EXPECT_EQ(rules_.bind(back_, kFrontend, bell.port).error().code, Errc::kInvalid);
  EXPECT_EQ(counts(kBackend).ports, 1u);
}

TEST_F(Rules, BothEndsOfAPortHoldOneWireByItsTwoSides) {
  const auto wire = std::make_shared<EventWire>();
  const auto bell = rules_.offer(front_, kBackend, wire).value();
  const auto bound = rules_.bind(back_, kFrontend, bell.port).value();
  EXPECT_EQ(bound.wire, wire);
  EXPECT_NE(bound.side, bell.side);
}

TEST_F(Rules, AClosedBindersPortCanBeBoundAgainAndAgain) {
  const auto wire = std::make_shared<EventWire>();
  const auto bell = rules_.offer(front_, kBackend, wire).value();
  for (int round = 0; round < 3; round++) {
    const HandleId process = rules_.open_handle(kBackend).value();
    const auto bound = rules_.bind(process, kFrontend, bell.port).value();
    EXPECT_EQ(bound.wire, wire);
    rules_.close_handle(process);
  }
  EXPECT_EQ(counts(kFrontend).ports, 1u);
  EXPECT_EQ(counts(kBackend).ports, 0u);
}

TEST_F(Rules, AClosedOwnersBinderBecomesAnOfferToItsDomain) {
  const auto wire = std::make_shared<EventWire>();
  const auto bell = rules_.offer(front_, kBackend, wire).value();
  const auto bound = rules_.bind(back_, kFrontend, bell.port).value();
  ASSERT_TRUE(rules_.close_port(front_, bell.port));
  EXPECT_EQ(rules_.bind(back_, kFrontend, bell.port).error().code, Errc::kInvalid) << "closed";
  EXPECT_EQ(rules_.bind(stranger_, kBackend, bound.port).error().code, Errc::kInvalid);
  const auto again = rules_.bind(front_, kBackend, bound.port).value();
  EXPECT_EQ(again.wire, wire);
  EXPECT_EQ(again.side, bell.side);
}

// ---- death of a domain
// ---------------------------------------------------------------------------

TEST_F(Rules, B33_WhatADeadDomainHadMappedIsUnpinned) {
  const auto refs = share(3);
  ASSERT_TRUE(map(back_, 1, refs));
  ASSERT_TRUE(rules_.end_share(front_, last_share_));
  ASSERT_TRUE(rules_.destroy_domain(kBackend));
  EXPECT_EQ(counts(kFrontend), (DomainCounts{.handles = 1}));
  EXPECT_EQ(rules_.open_handle(kBackend).error().code, Errc::kNotFound);
}

TEST_F(Rules, B33_PagesOfADeadDomainArePinnedUntilTheirMapperUnmaps) {
  const auto refs = share(3);
  ASSERT_TRUE(map(back_, 1, refs));
  ASSERT_TRUE(rules_.destroy_domain(kFrontend));
  EXPECT_EQ(counts(kBackend).pins, 3u);
  ASSERT_TRUE(rules_.create_domain(kFrontend));
  EXPECT_EQ(counts(kFrontend), DomainCounts{}) << "of the new one";
  ASSERT_TRUE(rules_.unmap(back_, 1));
  EXPECT_EQ(counts(kBackend).pins, 0u);
  EXPECT_EQ(counts(kFrontend), DomainCounts{});
}

TEST_F(Rules, B33_ASuccessorInheritsNeitherGrantsNorPorts) {
  const auto refs = share(1);
  const auto bell = rules_.offer(front_, kBackend, nullptr).value();
  ASSERT_TRUE(rules_.destroy_domain(kBackend));
  ASSERT_TRUE(rules_.create_domain(kBackend));
  const HandleId successor = rules_.open_handle(kBackend).value();
  EXPECT_EQ(map(successor, 1, refs).error().code, Errc::kInvalid);
  EXPECT_EQ(rules_.bind(successor, kFrontend, bell.port).error().code, Errc::kInvalid);
  EXPECT_EQ(rules_.unmap(back_, 1).error().code, Errc::kClosed) << "the old one's handle";
}

TEST_F(Rules, B33_AHandleOfADeadDomainIsClosedForGood) {
  ASSERT_TRUE(rules_.destroy_domain(kFrontend));
  ASSERT_TRUE(rules_.create_domain(kFrontend));
  std::array<GrantRef, 1> refs;
  EXPECT_EQ(rules_.share(front_, kBackend, Access::kReadWrite, nullptr, refs).error().code,
            Errc::kClosed);
  EXPECT_EQ(rules_.offer(front_, kBackend, nullptr).error().code, Errc::kClosed);
  EXPECT_EQ(rules_.quarantined(front_), 0u);
}

TEST_F(Rules, NothingIsGrantedOrOfferedToADomainThatIsNotThere) {
  std::array<GrantRef, 1> refs;
  EXPECT_EQ(rules_.share(front_, DomId{9}, Access::kReadWrite, nullptr, refs).error().code,
            Errc::kNotFound);
  EXPECT_EQ(rules_.offer(front_, DomId{9}, nullptr).error().code, Errc::kNotFound);
}

// ---- limits
// --------------------------------------------------------------------------------------

class Limits : public Rules {
 protected:
  Limits()
      : Rules({.domains = 4,
               .handles_per_domain = 2,
               .grants_per_domain = 4,
               .pins_per_domain = 3,
               .ports_per_domain = 2}) {}
};

TEST_F(Limits, HoldForEachDomain) {
  EXPECT_TRUE(rules_.create_domain(DomId{3}));
  EXPECT_EQ(rules_.create_domain(DomId{4}).error().code, Errc::kLimit);
  EXPECT_TRUE(rules_.open_handle(kBackend));
  EXPECT_EQ(rules_.open_handle(kBackend).error().code, Errc::kLimit);

  const auto refs = share(4);
  std::array<GrantRef, 1> one_more;
  EXPECT_EQ(rules_.share(front_, kBackend, Access::kReadWrite, nullptr, one_more).error().code,
            Errc::kLimit);
  EXPECT_EQ(map(back_, 1, refs).error().code, Errc::kLimit);
  EXPECT_EQ(counts(kBackend).pins, 0u);
  EXPECT_TRUE(map(back_, 1, std::span(refs).first(3)));

  EXPECT_TRUE(rules_.offer(front_, kBackend, nullptr));
  const auto second = rules_.offer(front_, kBackend, nullptr).value();
  EXPECT_EQ(rules_.offer(front_, kBackend, nullptr).error().code, Errc::kLimit);
  EXPECT_TRUE(rules_.offer(back_, kFrontend, nullptr));
  EXPECT_TRUE(rules_.bind(back_, kFrontend, second.port));
  EXPECT_EQ(rules_.offer(back_, kFrontend, nullptr).error().code, Errc::kLimit);
}

TEST_F(Limits, BindingCountsAsAPort) {
  const auto bell = rules_.offer(front_, kBackend, nullptr).value();
  ASSERT_TRUE(rules_.offer(back_, kFrontend, nullptr));
  ASSERT_TRUE(rules_.offer(back_, kFrontend, nullptr));
  EXPECT_EQ(rules_.bind(back_, kFrontend, bell.port).error().code, Errc::kLimit);
  rules_.close_handle(back_);
  const HandleId again = rules_.open_handle(kBackend).value();
  EXPECT_TRUE(rules_.bind(again, kFrontend, bell.port)) << "a refused bind leaves it unbound";
}

}  // namespace
}  // namespace splitring
