#include "server/training/augmentation.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <set>
#include <vector>

namespace lifescope {
namespace {

using testing::ElementsAre;

// `count` events of three tokens, the first 100 days after the start, one a month; event k's tokens are 100 k + 1..3.
Document Life(int32_t count, int64_t max_length = 10000) {
  std::vector<Event> events;
  for (int32_t k = 1; k <= count; ++k) {
    events.push_back({70 + 30 * k, 20 + k, {100 * k + 1, 100 * k + 2, 100 * k + 3}});
  }
  return EncodeLife(7, {11, 12, 13}, events, max_length).document;
}

Document Augmented(const AugmentationOptions& options, Document document, uint64_t seed) {
  Random random(seed);
  Augment(options, document, random);
  return document;
}

// Which events of Life are there, by their first digits; all their rows must agree.
std::vector<int32_t> EventsOf(const Document& document) {
  std::vector<int32_t> events;
  for (int64_t i = 0; i < document.length(); ++i) {
    if (document.event[i] > 0 && document.token[i] != kSep &&
        (events.empty() || events.back() != document.token[i] / 100)) {
      events.push_back(document.token[i] / 100);
    }
  }
  return events;
}

template <typename T>
std::vector<T> PerEvent(const std::vector<T>& values, const Document& document) {
  std::vector<T> out;
  for (int64_t i = 0; i < document.length(); ++i) {
    if (document.event[i] > 0 && document.token[i] == kSep) out.push_back(values[i]);
  }
  return out;
}

void ExpectSame(const Document& a, const Document& b) {
  EXPECT_EQ(a.person_id, b.person_id);
  EXPECT_EQ(a.token, b.token);
  EXPECT_EQ(a.abspos, b.abspos);
  EXPECT_EQ(a.age, b.age);
  EXPECT_EQ(a.segment, b.segment);
  EXPECT_EQ(a.event, b.event);
}

TEST(Augment, WithoutOptionsNothingChanges) {
  for (const int64_t max_length : {10000, 47}) {
    const Document life = Life(20, max_length);
    ExpectSame(Augmented({}, life, 1), life);
  }
}

TEST(Augment, ShufflingKeepsTheTokensOfEveryEvent) {
  const Document life = Life(8);
  AugmentationOptions options;
  options.shuffle_within_events = true;
  const Document shuffled = Augmented(options, life, 1);
  EXPECT_NE(shuffled.token, life.token);
  EXPECT_EQ(shuffled.event, life.event);
  EXPECT_EQ(shuffled.abspos, life.abspos);
  EXPECT_EQ(EventsOf(shuffled), EventsOf(life));
  std::vector<int32_t> a = shuffled.token, b = life.token;
  std::sort(a.begin(), a.end());
  std::sort(b.begin(), b.end());
  EXPECT_EQ(a, b);
}

TEST(Augment, ResamplingLeavesOutAQuarterToHalfAndStartsAtDayOne) {
  AugmentationOptions options;
  options.resample = 1;
  std::set<size_t> counts;
  for (uint64_t seed = 0; seed < 200; ++seed) {
    const Document kept = Augmented(options, Life(20), seed);
    const std::vector<int32_t> events = EventsOf(kept);
    counts.insert(events.size());
    EXPECT_TRUE(std::is_sorted(events.begin(), events.end()));
    const std::vector<int32_t> abspos = PerEvent(kept.abspos, kept);
    for (size_t i = 0; i < events.size(); ++i) EXPECT_EQ(abspos[i], 30 * (events[i] - events[0]) + 1);
    EXPECT_EQ(PerEvent(kept.age, kept).front(), 20 + events[0]);
    EXPECT_EQ(PerEvent(kept.segment, kept)[0], 2);
    EXPECT_EQ(kept.event_count(), static_cast<int32_t>(events.size()));
  }
  // 5 to 9 of 20 are left out: the upper end is exclusive.
  EXPECT_THAT(counts, ElementsAre(11, 12, 13, 14, 15));
  EXPECT_EQ(EventsOf(Augmented(options, Life(1), 1)), (std::vector<int32_t>{1}));
}

TEST(Augment, TimecutKeepsTwelveEventsWholeDaysAndTwoYears) {
  AugmentationOptions options;
  options.timecut = 1;
  EXPECT_EQ(EventsOf(Augmented(options, Life(12), 1)).size(), 12u);
  std::set<size_t> counts;
  for (uint64_t seed = 0; seed < 300; ++seed) counts.insert(EventsOf(Augmented(options, Life(30), seed)).size());
  // Event 23 (abspos 760) is the first that may be cut before; the last event is always cut off.
  EXPECT_EQ(*counts.begin(), 22u);
  EXPECT_EQ(*counts.rbegin(), 29u);
  EXPECT_EQ(counts.size(), 8u);
}

TEST(Augment, TimecutLeavesOutTheLastEventOfItsDay) {
  // Ten days of three events each, all of them past two years.
  std::vector<Event> events;
  for (int32_t k = 1; k <= 30; ++k) events.push_back({800 + (k - 1) / 3, 20, {100 * k + 1}});
  const Document life = EncodeLife(7, {11}, events, 10000).document;
  AugmentationOptions options;
  options.timecut = 1;
  std::set<size_t> counts;
  for (uint64_t seed = 0; seed < 300; ++seed) counts.insert(EventsOf(Augmented(options, life, seed)).size());
  EXPECT_THAT(counts, ElementsAre(14, 17, 20, 23, 26, 29));
}

TEST(Augment, NoiseMovesEventsByMinusFiveToFourDaysWithinBounds) {
  AugmentationOptions options;
  options.abspos_noise = 1;
  std::set<int32_t> moves;
  for (uint64_t seed = 0; seed < 30; ++seed) {
    const Document life = Life(20), noisy = Augmented(options, life, seed);
    const std::vector<int32_t> a = PerEvent(life.abspos, life), b = PerEvent(noisy.abspos, noisy);
    for (size_t i = 0; i < a.size(); ++i) moves.insert(b[i] - a[i]);
    for (int64_t i = 0; i < 5; ++i) EXPECT_EQ(noisy.abspos[i], 0);
  }
  EXPECT_THAT(moves, ElementsAre(-5, -4, -3, -2, -1, 0, 1, 2, 3, 4));
  Document late = EncodeLife(1, {11}, {{5000, 30, {20}}, {-9, 30, {20}}}, 100).document;
  late = Augmented(options, late, 1);
  EXPECT_THAT(PerEvent(late.abspos, late), ElementsAre(4329, 0));
}

TEST(Augment, HiddenBackgroundIsFourUnknownTokens) {
  AugmentationOptions options;
  options.hide_background = 1;
  const Document hidden = Augmented(options, Life(2), 1);
  EXPECT_EQ(std::vector<int32_t>(hidden.token.begin(), hidden.token.begin() + 6),
            (std::vector<int32_t>{kCls, kUnk, kUnk, kUnk, kUnk, kSep}));
  EXPECT_EQ(std::vector<int32_t>(hidden.event.begin(), hidden.event.begin() + 7),
            (std::vector<int32_t>{0, 0, 0, 0, 0, 0, 1}));
  EXPECT_EQ(EventsOf(hidden).size(), 2u);
}

TEST(Augment, DroppingTakesOneTokenOfItsShareOfEvents) {
  AugmentationOptions options;
  options.drop_tokens = 0.25;
  int64_t dropped = 0, untouched = 0, gated_untouched = 0;
  for (uint64_t seed = 0; seed < 200; ++seed) {
    const int64_t lost = Life(20).length() - Augmented(options, Life(20), seed).length();
    EXPECT_LE(lost, 20);
    dropped += lost;
    untouched += lost == 0;
  }
  EXPECT_NEAR(static_cast<double>(dropped) / 4000, 0.25, 0.03);
  EXPECT_LT(untouched, 10);
  options.gate_drop_tokens = true;
  for (uint64_t seed = 0; seed < 200; ++seed) {
    gated_untouched += Augmented(options, Life(20), seed).length() == Life(20).length();
  }
  EXPECT_NEAR(gated_untouched, 150, 25);

  options = {};
  options.drop_tokens = 1;
  const Document bare = Augmented(options, EncodeLife(1, {11}, {{5, 30, {20}}, {6, 30, {21}}}, 100).document, 1);
  EXPECT_THAT(bare.token, ElementsAre(kCls, 11, kSep, kSep, kSep));
  EXPECT_THAT(bare.event, ElementsAre(0, 0, 0, 1, 2));
}

TEST(Augment, SegmentsGoOnFromTheFirstOfAClippedLife) {
  const Document clipped = Life(20, 47);
  ASSERT_NE(PerEvent(clipped.segment, clipped)[0], 2);
  AugmentationOptions options;
  options.resample = 1;
  const Document kept = Augmented(options, clipped, 3);
  const std::vector<int32_t> segments = PerEvent(kept.segment, kept);
  EXPECT_EQ(segments[0], PerEvent(clipped.segment, clipped)[0]);
  for (size_t i = 1; i < segments.size(); ++i) EXPECT_EQ(segments[i], segments[i - 1] % 3 + 1);
}

TEST(Clip, IsWhatEncodingWithThatLengthGives) {
  for (const int64_t max_length : {5, 6, 9, 10, 46, 47, 48, 10000}) {
    Document life = Life(20);
    Clip(max_length, life);
    ExpectSame(life, Life(20, max_length));
  }
}

}  // namespace
}  // namespace lifescope
