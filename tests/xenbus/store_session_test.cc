// The wire protocol, request by request, without sockets.
#include "xenbus/store_session.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "tests/support/xenbus/store_conversation.h"

namespace splitring {
namespace {

using test::StoreConversation;
using test::wire;
using Events = std::vector<std::string>;
using M = StoreMessage;

class StoreSessionTest : public testing::Test {
 protected:
  StoreSessionTest() {
    for (const uint16_t domain : {uint16_t{5}, uint16_t{6}})
      EXPECT_TRUE(service_.introduce(DomId{domain}));
    guest_ = std::make_unique<StoreConversation>(service_, 5);
    other_ = std::make_unique<StoreConversation>(service_, 6);
  }

  StoreService service_{StoreLimits{
      .watches = 4, .transactions = 3, .pending_event_bytes = 20'000, .output_bytes = 8192}};
  StoreConversation host_{service_, 0};
  std::unique_ptr<StoreConversation> guest_;
  std::unique_ptr<StoreConversation> other_;
};

std::string header(uint32_t type, uint32_t length) {
  const uint32_t words[] = {type, 1, 0, length};
  std::string bytes(sizeof words, '\0');
  std::memcpy(bytes.data(), words, sizeof words);
  return bytes;
}

TEST_F(StoreSessionTest, AnswersEchoTypeRequestAndTransaction) {
  std::string frame;
  append_frame(frame, M::kRead, 0xabcd, 0, wire({"/local/domain/0/domid"}));
  append_frame(frame, M::kRead, 2, 99, wire({"/"}));
  host_.session().receive(frame);
  StoreFrameReader reader;
  reader.feed(host_.session().output());
  const StoreFrame good = *reader.next().value();
  EXPECT_EQ(good.type, M::kRead);
  EXPECT_EQ(good.request_id, 0xabcdU);
  EXPECT_EQ(good.payload, "0");
  const StoreFrame bad = *reader.next().value();
  EXPECT_EQ(bad.type, M::kError);
  EXPECT_EQ(bad.transaction_id, 99U);
  EXPECT_EQ(bad.payload, std::string("ENOENT\0", 7));
}

TEST_F(StoreSessionTest, TakesFramesInAnyPieces) {
  std::string frames;
  append_frame(frames, M::kWrite, 7, 0, wire({"/tool/a"}) + "1");
  append_frame(frames, M::kWrite, 7, 0, wire({"/tool/b"}) + "2");
  for (const char byte : frames) host_.session().receive({&byte, 1});
  host_.session().sent(host_.session().output().size());
  EXPECT_EQ(host_.list("/tool"), "a b ");
}

TEST_F(StoreSessionTest, X1_FrameThatAnnouncesTooMuchEndsOnlyThatSession) {
  for (const uint32_t length : {4097U, 0x80000000U, 0xffffffffU}) {
    StoreConversation hostile(service_, 5);
    hostile.session().receive(header(2, length));
    EXPECT_TRUE(hostile.session().closed());
    hostile.session().receive(header(2, 0));
    EXPECT_TRUE(hostile.session().output().empty());
  }
  EXPECT_EQ(guest_->read("domid"), "5");
}

TEST_F(StoreSessionTest, X1_LongestFrameIsTakenAndAnswersThatAreTooLongAreAnError) {
  EXPECT_EQ(host_.write("/tool/long", std::string(4096 - 11, 'x')), "OK ");
  EXPECT_EQ(host_.read("/tool/long").size(), 4096U - 11);
  for (int i = 0; i < 100; i++)
    ASSERT_EQ(host_.write("/tool/many/" + std::string(50, 'n') + std::to_string(i), ""), "OK ");
  EXPECT_EQ(host_.list("/tool/many"), "error E2BIG");
}

TEST_F(StoreSessionTest, X1_EveryEventFitsAFrame) {
  EXPECT_EQ(host_.watch("/tool", std::string(1022, 't')), "OK ");
  EXPECT_EQ(host_.watch("/tool", std::string(1023, 't')), "error E2BIG");
  EXPECT_EQ(host_.write("/tool/" + std::string(3072 - 6, 'p'), ""), "OK ");
  EXPECT_EQ(host_.events().back().size(), 3072U + 1 + 1022);
}

TEST_F(StoreSessionTest, X2_BadPathsAreInvalidInEveryRequest) {
  for (const char* path : {"", "//", "/a/", "/a//b", "/local/domain/", "@x", "a b"}) {
    for (const M type :
         {M::kRead, M::kDirectory, M::kMakeDirectory, M::kRemove, M::kGetPermissions})
      EXPECT_EQ(host_.ask(type, wire({path})), "error EINVAL") << path;
    for (const M type : {M::kWatch, M::kUnwatch, M::kSetPermissions, M::kDirectoryPart})
      EXPECT_EQ(host_.ask(type, wire({path, "n0"})), "error EINVAL") << path;
    EXPECT_EQ(host_.write(path, "v"), "error EINVAL") << path;
  }
  EXPECT_EQ(host_.read("/" + std::string(3072, 'a')), "error EINVAL");
  EXPECT_EQ(host_.read(std::string(2049, 'a')), "error EINVAL");
}

TEST_F(StoreSessionTest, PayloadsThatAreNotStringsAreInvalid) {
  for (const std::string& payload : {std::string(), std::string("/tool"), wire({"/tool", "x"})})
    EXPECT_EQ(host_.ask(M::kRead, payload), "error EINVAL");
  EXPECT_EQ(host_.ask(M::kWrite, "/tool"), "error EINVAL");
  EXPECT_EQ(host_.ask(M::kWatch, wire({"/tool"})), "error EINVAL");
  EXPECT_EQ(host_.ask(M::kSetPermissions, wire({"/tool"})), "error EINVAL");
  for (const char* permission : {"", "n", "x0", "n-1", "n 1", "n1x", "n32752", "n99999999999"})
    EXPECT_EQ(host_.set_permissions("/tool", {permission}), "error EINVAL") << permission;
  for (const char* domain : {"", "-1", " 1", "1x", "32752", "4294967296"})
    EXPECT_EQ(host_.ask(M::kGetDomainPath, wire({domain})), "error EINVAL") << domain;
}

TEST_F(StoreSessionTest, UnknownRequestsAreNotSupported) {
  for (const uint32_t type : {15U, 16U, 20U, 23U, 0xffffU, 0xffffffffU})
    EXPECT_EQ(host_.ask(StoreMessage{type}, wire({"/"})), "error ENOSYS") << type;
}

TEST_F(StoreSessionTest, RequestsOfTheToolstackAreForDomain0) {
  EXPECT_EQ(guest_->ask(M::kControl, wire({"check"})), "error EACCES");
  EXPECT_EQ(guest_->ask(M::kIntroduce, wire({"7", "0", "0"})), "error EACCES");
  EXPECT_EQ(guest_->ask(M::kRelease, wire({"6"})), "error EACCES");
  EXPECT_EQ(guest_->ask(M::kResume, wire({"6"})), "error EACCES");
  EXPECT_EQ(guest_->ask(M::kSetTarget, wire({"5", "6"})), "error EACCES");
  EXPECT_EQ(guest_->set_permissions("@releaseDomain", {"n5"}), "error EACCES");
  EXPECT_EQ(host_.ask(M::kControl, wire({"check"})), wire({"OK"}));
  EXPECT_EQ(host_.ask(M::kControl, wire({"live-update"})), "error EINVAL");
}

TEST_F(StoreSessionTest, DomainsComeAndGoOverTheWire) {
  const auto is_introduced = [&](const char* domain) {
    return host_.ask(M::kIsDomainIntroduced, wire({domain}));
  };
  EXPECT_EQ(guest_->ask(M::kIsDomainIntroduced, wire({"5"})), "error EACCES") << "as on Xen";
  EXPECT_EQ(is_introduced("7"), wire({"F"}));
  EXPECT_EQ(host_.ask(M::kIntroduce, wire({"7", "123", "4"})), wire({"OK"}));
  EXPECT_EQ(host_.ask(M::kIntroduce, wire({"7", "123", "4"})), wire({"OK"}));
  EXPECT_EQ(is_introduced("7"), wire({"T"}));
  EXPECT_EQ(host_.read("/local/domain/7/domid"), "7");
  EXPECT_EQ(host_.ask(M::kResume, wire({"7"})), wire({"OK"}));
  EXPECT_EQ(host_.ask(M::kRelease, wire({"7"})), wire({"OK"}));
  EXPECT_EQ(is_introduced("7"), wire({"F"}));
  EXPECT_EQ(host_.read("/local/domain/7"), "error ENOENT");
  EXPECT_EQ(host_.ask(M::kRelease, wire({"7"})), "error ENOENT");
  EXPECT_EQ(host_.ask(M::kResume, wire({"7"})), "error ENOENT");
  EXPECT_EQ(host_.ask(M::kRelease, wire({"0"})), "error EINVAL");
  EXPECT_EQ(host_.ask(M::kGetDomainPath, wire({"7"})), wire({"/local/domain/7"}));
}

TEST_F(StoreSessionTest, TargetLendsItsRightsUntilItIsReleased) {
  EXPECT_EQ(guest_->read("/local/domain/6/domid"), "error EACCES");
  EXPECT_EQ(host_.ask(M::kSetTarget, wire({"5", "6"})), wire({"OK"}));
  EXPECT_EQ(guest_->read("/local/domain/6/domid"), "6");
  EXPECT_EQ(host_.ask(M::kRelease, wire({"6"})), wire({"OK"}));
  EXPECT_EQ(host_.ask(M::kIntroduce, wire({"6", "0", "0"})), wire({"OK"}));
  EXPECT_EQ(guest_->read("/local/domain/6/domid"), "error EACCES");
  EXPECT_EQ(host_.ask(M::kSetTarget, wire({"5", "7"})), "error ENOENT");
}

TEST_F(StoreSessionTest, DirectoryPartsJoinToTheWholeList) {
  std::string expected;
  for (int i = 1000; i < 1800; i++) {
    const std::string name = "entry-" + std::to_string(i);
    ASSERT_EQ(host_.write("/tool/many/" + name, ""), "OK ");
    expected += wire({name});
  }
  std::string names;
  int parts = 0;
  while (!names.ends_with(std::string(2, '\0'))) {
    const auto part =
        host_.ask(M::kDirectoryPart, wire({"/tool/many", std::to_string(names.size())}));
    ASSERT_FALSE(part.starts_with("error")) << part;
    ASSERT_LE(part.size(), 4096U);
    names += part.substr(part.find('\0') + 1);
    parts++;
  }
  EXPECT_EQ(names, expected + '\0');
  EXPECT_EQ(parts, 3);
  // Behind the end is only the end; and the generation tells that the list has changed.
  const auto beyond = host_.ask(M::kDirectoryPart, wire({"/tool/many", "999999"}));
  EXPECT_TRUE(beyond.ends_with(std::string(2, '\0')));
  ASSERT_EQ(host_.remove("/tool/many/entry-1000"), "OK ");
  EXPECT_NE(host_.ask(M::kDirectoryPart, wire({"/tool/many", "999999"})), beyond);
  EXPECT_EQ(host_.ask(M::kDirectoryPart, wire({"/tool/many", "-1"})), "error EINVAL");
}

TEST_F(StoreSessionTest, WatchAnswersFirstThenFiresAtOnce) {
  std::string frame;
  append_frame(frame, M::kWatch, 1, 0, wire({"/nothing/here", "t"}));
  host_.session().receive(frame);
  StoreFrameReader reader;
  reader.feed(host_.session().output());
  EXPECT_EQ(reader.next().value()->type, M::kWatch);
  const StoreFrame event = *reader.next().value();
  EXPECT_EQ(event.type, M::kWatchEvent);
  EXPECT_EQ(event.payload, wire({"/nothing/here", "t"}));
}

TEST_F(StoreSessionTest, EventsOfOthersComeBeforeTheNextAnswer) {
  ASSERT_EQ(host_.watch("/tool", "t"), "OK ");
  host_.events();
  StoreConversation second(service_, 0);
  ASSERT_EQ(second.write("/tool/a", ""), "OK ");
  std::string frame;
  append_frame(frame, M::kRead, 1, 0, wire({"/tool/a"}));
  host_.session().receive(frame);
  StoreFrameReader reader;
  reader.feed(host_.session().output());
  EXPECT_EQ(reader.next().value()->type, M::kWatchEvent);
  EXPECT_EQ(reader.next().value()->type, M::kRead);
}

TEST_F(StoreSessionTest, SameWatchAgainExistsAndUnwatchEndsIt) {
  EXPECT_EQ(host_.watch("/tool", "t"), "OK ");
  EXPECT_EQ(host_.watch("/tool", "t"), "error EEXIST");
  EXPECT_EQ(host_.watch("/tool", "u"), "OK ");
  EXPECT_EQ(host_.ask(M::kUnwatch, wire({"/tool", "t"})), wire({"OK"}));
  EXPECT_EQ(host_.ask(M::kUnwatch, wire({"/tool", "t"})), "error ENOENT");
  host_.events();
  ASSERT_EQ(host_.write("/tool/a", ""), "OK ");
  EXPECT_EQ(host_.events(), Events{"/tool/a u"});
}

TEST_F(StoreSessionTest, RemovalTellsWatchesAboveOnAndBelow) {
  ASSERT_EQ(host_.write("/tool/a/b/c", ""), "OK ");
  for (const char* path : {"/", "/tool/a", "/tool/a/b/c", "/tool/a/b/absent"})
    ASSERT_EQ(host_.watch(path, path), "OK ");
  host_.events();
  ASSERT_EQ(host_.remove("/tool/a"), "OK ");
  EXPECT_EQ(host_.events(), (Events{"/tool/a /tool/a", "/tool/a /", "/tool/a/b/c /tool/a/b/c"}));
}

TEST_F(StoreSessionTest, TransactionFiresAtItsCommitOnce) {
  ASSERT_EQ(host_.watch("/tool", "t"), "OK ");
  host_.events();
  const uint32_t transaction = host_.begin();
  for (const char* value : {"1", "2", "3"})
    ASSERT_EQ(host_.write("/tool/a", value, transaction), "OK ");
  ASSERT_EQ(host_.write("/tool/gone", "", transaction), "OK ");
  ASSERT_EQ(host_.remove("/tool/gone", transaction), "OK ");
  EXPECT_TRUE(host_.events().empty());
  ASSERT_EQ(host_.commit(transaction), "OK ");
  EXPECT_EQ(host_.events(), Events{"/tool/a t"});
  const uint32_t aborted = host_.begin();
  ASSERT_EQ(host_.write("/tool/b", "", aborted), "OK ");
  ASSERT_EQ(host_.abort(aborted), "OK ");
  EXPECT_TRUE(host_.events().empty());
}

TEST_F(StoreSessionTest, X3_WatchTellsOnlyWhatItsDomainMayRead) {
  ASSERT_EQ(guest_->watch("/", "all"), "OK ");
  EXPECT_EQ(guest_->events(), Events{"/ all"});
  ASSERT_EQ(host_.write("/tool/secret", "1"), "OK ");
  ASSERT_EQ(other_->write("data", "1"), "OK ");
  EXPECT_TRUE(guest_->events().empty());
  ASSERT_EQ(guest_->write("data", "1"), "OK ");
  EXPECT_EQ(guest_->events(), Events{"/local/domain/5/data all"});
  // Gaining and losing the right to read shows; what happens later does not.
  ASSERT_EQ(host_.set_permissions("/tool/secret", {"n0", "r5"}), "OK ");
  ASSERT_EQ(host_.set_permissions("/tool/secret", {"n0"}), "OK ");
  ASSERT_EQ(host_.remove("/tool/secret"), "OK ");
  EXPECT_EQ(guest_->events(), Events{"/tool/secret all"});
}

TEST_F(StoreSessionTest, X3_DomainsComingAndGoingIsToldToThoseWithTheRight) {
  for (const auto& each : {guest_.get(), other_.get(), &host_}) {
    ASSERT_EQ(each->watch("@introduceDomain", "in"), "OK ");
    ASSERT_EQ(each->watch("@releaseDomain", "out"), "OK ");
    each->events();
  }
  ASSERT_EQ(host_.set_permissions("@releaseDomain", {"n0", "r6"}), "OK ");
  EXPECT_EQ(host_.permissions("@releaseDomain"), "n0 r6 ");
  EXPECT_EQ(guest_->permissions("@releaseDomain"), "error EACCES");
  ASSERT_TRUE(service_.introduce(DomId{9}));
  ASSERT_TRUE(service_.release(DomId{9}));
  EXPECT_TRUE(guest_->events().empty());
  EXPECT_EQ(other_->events(), Events{"@releaseDomain out"});
  EXPECT_EQ(host_.events(), (Events{"@introduceDomain in", "@releaseDomain out"}));
}

TEST_F(StoreSessionTest, X4_OpenTransactionsAreLimitedPerDomain) {
  for (int i = 0; i < 3; i++) EXPECT_GT(guest_->begin(), 0U);
  for (int i = 0; i < 10'000; i++)
    ASSERT_EQ(guest_->ask(M::kTransactionStart, std::string(1, '\0')), "error ENOSPC");
  StoreConversation second(service_, 5);
  EXPECT_EQ(second.ask(M::kTransactionStart, std::string(1, '\0')), "error ENOSPC");
  EXPECT_GT(other_->begin(), 0U);
  // They go with the connection.
  guest_.reset();
  EXPECT_GT(second.begin(), 0U);
}

TEST_F(StoreSessionTest, TransactionsAreOfTheirConnection) {
  const uint32_t transaction = guest_->begin();
  EXPECT_EQ(other_->read("domid", transaction), "error ENOENT");
  EXPECT_EQ(guest_->ask(M::kTransactionStart, std::string(1, '\0'), transaction), "error EBUSY");
  EXPECT_EQ(guest_->ask(M::kTransactionEnd, wire({"X"}), transaction), "error EINVAL");
  EXPECT_EQ(guest_->commit(transaction), "OK ");
  EXPECT_EQ(guest_->commit(transaction), "error ENOENT");
  EXPECT_EQ(guest_->commit(0), "error ENOENT");
}

TEST_F(StoreSessionTest, X5_ClientThatNeverReadsCostsABoundedAmount) {
  ASSERT_EQ(guest_->watch("device", "t"), "OK ");
  guest_->events();
  StoreConversation writer(service_, 5);
  StoreSession& lazy = guest_->session();
  for (int i = 0; i < 100'000; i++) {
    ASSERT_EQ(writer.write("device/" + std::to_string(i % 500), ""), "OK ");
    ASSERT_LE(lazy.events().bytes(), service_.limits().pending_event_bytes);
  }
  // Once it reads it learns that it has to look at everything.
  const Events events = guest_->events();
  EXPECT_LT(events.size(), 1000U);
  EXPECT_NE(std::ranges::find(events, "device t"), events.end());
}

TEST_F(StoreSessionTest, X5_ClientThatSendsWithoutReadingWaits) {
  std::string frame;
  append_frame(frame, M::kRead, 7, 0, wire({"domid"}));
  StoreSession& session = guest_->session();
  int sent = 0;
  for (; session.wants_input(); sent++) session.receive(frame);
  EXPECT_LE(session.output().size(), service_.limits().output_bytes + 4112);
  session.receive(frame);  // fed all the same: held, not answered
  const size_t before = session.output().size();
  EXPECT_EQ(before, static_cast<size_t>(sent) * 17);
  session.sent(before);
  EXPECT_EQ(session.output().size(), 17U);
}

TEST_F(StoreSessionTest, WatchesAreLimitedPerDomain) {
  StoreConversation second(service_, 5);
  for (const char* token : {"1", "2"}) {
    ASSERT_EQ(guest_->watch("a", token), "OK ");
    ASSERT_EQ(second.watch("a", token), "OK ");
  }
  EXPECT_EQ(guest_->watch("a", "3"), "error E2BIG");
  EXPECT_EQ(second.ask(M::kUnwatch, wire({"a", "1"})), wire({"OK"}));
  EXPECT_EQ(guest_->watch("a", "3"), "OK ");
}

TEST_F(StoreSessionTest, X8_DeepestTreeOfTheWireIsMadeListedAndRemoved) {
  std::string deepest;
  while (deepest.size() + 2 <= kStoreAbsolutePathMax) deepest += "/d";
  ASSERT_EQ(host_.write(deepest, "bottom"), "OK ");
  EXPECT_EQ(host_.read(deepest), "bottom");
  EXPECT_EQ(host_.list(parent_store_path(deepest)), "d ");
  EXPECT_EQ(host_.remove("/d"), "OK ");
  EXPECT_EQ(host_.read(deepest), "error ENOENT");
}

TEST_F(StoreSessionTest, X9_NumberUsedAgainInheritsNothing) {
  ASSERT_EQ(host_.write("/tool/shared", "secret"), "OK ");
  ASSERT_EQ(host_.set_permissions("/tool/shared", {"n0", "r5"}), "OK ");
  ASSERT_EQ(guest_->write("data", "mine"), "OK ");
  ASSERT_EQ(guest_->watch("data", "t"), "OK ");
  ASSERT_TRUE(service_.release(DomId{5}));
  EXPECT_TRUE(guest_->session().closed());
  // A backend that is late in granting something to the dead domain.
  ASSERT_EQ(other_->write("late", ""), "OK ");
  ASSERT_EQ(other_->set_permissions("late", {"n6", "r5"}), "OK ");
  ASSERT_TRUE(service_.introduce(DomId{5}));
  StoreConversation again(service_, 5);
  EXPECT_EQ(again.read("/tool/shared"), "error EACCES");
  EXPECT_EQ(again.read("/local/domain/6/late"), "error EACCES");
  EXPECT_EQ(again.read("data"), "error ENOENT");
  EXPECT_EQ(guest_->ask(M::kRead, wire({"domid"})), "closed");
  ASSERT_EQ(again.write("data", "new"), "OK ");
  EXPECT_TRUE(again.events().empty());
  EXPECT_EQ(service_.usage(DomId{5}).watches, 0U);
}

TEST_F(StoreSessionTest, X10_BrokenClientIsNotADeadDomain) {
  ASSERT_EQ(host_.watch("@releaseDomain", "t"), "OK ");
  host_.events();
  guest_->session().receive(header(99, 0xffffffff));
  EXPECT_TRUE(guest_->session().closed());
  EXPECT_TRUE(host_.events().empty());
  EXPECT_TRUE(service_.is_introduced(DomId{5}));
  EXPECT_EQ(StoreConversation(service_, 5).read("domid"), "5");
}

TEST_F(StoreSessionTest, X11_ResetWithinATransactionEndsItCleanly) {
  ASSERT_EQ(guest_->watch("a", "t"), "OK ");
  const uint32_t transaction = guest_->begin();
  ASSERT_EQ(guest_->write("a", "1", transaction), "OK ");
  for (int i = 0; i < 2; i++) {
    EXPECT_EQ(guest_->ask(M::kResetWatches, std::string(1, '\0'), transaction), wire({"OK"}));
    EXPECT_EQ(guest_->write("a", "2", transaction), "error ENOENT");
    EXPECT_EQ(guest_->commit(transaction), "error ENOENT");
    EXPECT_EQ(service_.usage(DomId{5}).watches, 0U);
    EXPECT_EQ(service_.usage(DomId{5}).transactions, 0U);
  }
  guest_->events();
  EXPECT_EQ(guest_->write("a", "3"), "OK ");
  EXPECT_TRUE(guest_->events().empty());
}

}  // namespace
}  // namespace splitring
