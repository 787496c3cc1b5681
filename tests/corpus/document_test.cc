#include "server/corpus/document.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/corpus/random.h"
#include "tests/corpus/value_error.h"

namespace lifescope {
namespace {

using testing::HasSubstr;

TEST(EncodeLife, LaysOutPrefixAndEvents) {
  const EncodedLife life = EncodeLife(7, {20, 21}, {{5, 30, {40, 41}}, {6, 31, {42}}}, 16);
  const Document& d = life.document;
  EXPECT_EQ(d.person_id, 7);
  EXPECT_EQ(life.clipped_event_count, 0);
  EXPECT_EQ(d.token, (std::vector<int32_t>{kCls, 20, 21, kSep, 40, 41, kSep, 42, kSep}));
  EXPECT_EQ(d.abspos, (std::vector<int32_t>{0, 0, 0, 0, 5, 5, 5, 6, 6}));
  EXPECT_EQ(d.age, (std::vector<int32_t>{0, 0, 0, 0, 30, 30, 30, 31, 31}));
  EXPECT_EQ(d.segment, (std::vector<int32_t>{1, 1, 1, 1, 2, 2, 2, 3, 3}));
  EXPECT_EQ(d.event, (std::vector<int32_t>{0, 0, 0, 0, 1, 1, 1, 2, 2}));
  EXPECT_EQ(d.event_count(), 2);
}

TEST(EncodeLife, EventsThatJustFitAreKept) {
  const std::vector<Event> events = {{1, 1, {40, 41, 42}}, {2, 2, {43}}};
  EXPECT_EQ(EncodeLife(1, {}, events, 8).clipped_event_count, 0);
  EXPECT_EQ(EncodeLife(1, {}, events, 7).clipped_event_count, 1);
}

TEST(EncodeLife, EventsBeforeOneThatIsTooLongAreLeftOutToo) {
  const EncodedLife life = EncodeLife(1, {}, {{1, 1, {40}}, {2, 2, std::vector<int32_t>(20, 41)}, {3, 3, {42}}}, 10);
  EXPECT_EQ(life.clipped_event_count, 2);
  EXPECT_EQ(life.document.token, (std::vector<int32_t>{kCls, kSep, 42, kSep}));
  EXPECT_EQ(life.document.segment.back(), 1);  // the third event, though now the first
  EXPECT_EQ(life.document.event.back(), 1);
}

TEST(EncodeLife, ALastEventThatIsTooLongLeavesThePrefix) {
  const EncodedLife life = EncodeLife(1, {}, {{1, 1, {40}}, {2, 2, std::vector<int32_t>(20, 41)}}, 10);
  EXPECT_EQ(life.clipped_event_count, 2);
  EXPECT_EQ(life.document.token, (std::vector<int32_t>{kCls, kSep}));
  EXPECT_EQ(life.document.event_count(), 0);
}

TEST(EncodeLife, EventsWithoutTokensAreNotCounted) {
  const EncodedLife life = EncodeLife(1, {}, {{1, 1, {}}, {2, 2, {42}}, {3, 3, {}}}, 10);
  EXPECT_EQ(life.clipped_event_count, 0);
  EXPECT_EQ(life.document.event_count(), 1);
  EXPECT_EQ(life.document.segment.back(), 2);
}

TEST(EncodeLife, APrefixThatDoesNotFitIsAnError) {
  EXPECT_THAT(ValueErrorOf([&] {
                EncodeLife(3, {1, 1, 1}, {}, 4);
              }),
              HasSubstr("person 3: max_length is 4, expected at least 5"));
}

// Random lives against the rule said the other way round: what the whole document holds, cut at an event.
TEST(EncodeLife, KeepsTheLongestSuffixOfWholeEvents) {
  Random random(11);
  for (int trial = 0; trial < 2000; ++trial) {
    std::vector<Event> events;
    const int64_t count = random.Below(12);
    for (int32_t i = 0; i < count; ++i) {
      events.push_back({i + 1, i, std::vector<int32_t>(static_cast<size_t>(random.Below(7)), 10 + i)});
    }
    const int64_t max_length = 5 + random.Below(40);
    const Document whole = EncodeLife(1, {20, 21, 22}, events, 1000).document;
    const EncodedLife life = EncodeLife(1, {20, 21, 22}, events, max_length);
    const Document& d = life.document;
    ASSERT_LE(d.length(), max_length);
    ASSERT_EQ(life.clipped_event_count + d.event_count(), whole.event_count());
    const int64_t cut = whole.length() - d.length();
    for (int64_t i = 5; i < d.length(); ++i) {
      ASSERT_EQ(d.token[i], whole.token[i + cut]);
      ASSERT_EQ(d.abspos[i], whole.abspos[i + cut]);
      ASSERT_EQ(d.age[i], whole.age[i + cut]);
      ASSERT_EQ(d.segment[i], whole.segment[i + cut]);
      ASSERT_EQ(d.event[i] + life.clipped_event_count, whole.event[i + cut]);
      ASSERT_EQ(whole.segment[i + cut], std::vector<int32_t>({2, 3, 1})[(whole.event[i + cut] - 1) % 3]);
    }
    if (life.clipped_event_count > 0) {  // one event more would not fit
      int64_t last_clipped = 0;
      for (const int32_t event : whole.event) last_clipped += event == life.clipped_event_count ? 1 : 0;
      ASSERT_GT(d.length() + last_clipped, max_length);
    }
  }
}

}  // namespace
}  // namespace lifescope
