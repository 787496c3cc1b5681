#include "server/training/masking.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

namespace lifescope {
namespace {

constexpr int32_t kVocabularySize = 60;

// [CLS] three unknown background tokens [SEP], then events of one to three tokens, all different.
Document Life(int32_t event_count) {
  std::vector<Event> events;
  int32_t next = kFirstContentToken;
  for (int32_t i = 0; i < event_count; ++i) {
    Event event{10 * i + 1, 20 + i, {}};
    for (int32_t j = 0; j <= i % 3; ++j) event.tokens.push_back(next++);
    events.push_back(event);
  }
  return EncodeLife(7, {kUnk, kUnk, kUnk}, events, 512).document;
}

std::vector<std::vector<int32_t>> Sentences(const Document& document) {
  std::vector<std::vector<int32_t>> sentences(document.event_count() + 1);
  for (int64_t i = 0; i < document.length(); ++i) sentences[document.event[i]].push_back(document.token[i]);
  return sentences;
}

TEST(MaskTokens, ChoosesFloorOfLengthTimesRatio) {
  const Document life = Life(24);
  for (const double ratio : {0.05, 0.1, 0.3, 0.37}) {
    Document masked = life;
    Random random(1);
    const MaskedTargets targets = MaskTokens(ratio, kVocabularySize, masked, random);
    EXPECT_EQ(targets.positions.size(), static_cast<size_t>(static_cast<double>(life.length()) * ratio)) << ratio;
  }
}

TEST(MaskTokens, NeverChoosesClsSeparatorsOrUnknown) {
  const Document life = Life(24);
  std::set<int64_t> chosen;
  for (uint64_t seed = 0; seed < 200; ++seed) {
    Document masked = life;
    Random random(seed);
    const MaskedTargets targets = MaskTokens(0.3, kVocabularySize, masked, random);
    EXPECT_TRUE(std::is_sorted(targets.positions.begin(), targets.positions.end()));
    chosen.insert(targets.positions.begin(), targets.positions.end());
    for (int64_t i = 0; i < life.length(); ++i) {
      const bool is_target = std::binary_search(targets.positions.begin(), targets.positions.end(), i);
      if (!is_target) {
        EXPECT_EQ(masked.token[i], life.token[i]) << i;
      }
    }
  }
  for (int64_t i = 0; i < life.length(); ++i) {
    const bool maskable = i > 0 && life.token[i] != kSep && life.token[i] != kUnk;
    EXPECT_EQ(chosen.count(i), maskable ? 1u : 0u) << "position " << i;
    EXPECT_EQ(IsMaskable(life, i), maskable) << "position " << i;
  }
}

TEST(MaskTokens, TargetsAreTheTokensThatWereThere) {
  const Document life = Life(24);
  Document masked = life;
  Random random(3);
  const MaskedTargets targets = MaskTokens(0.3, kVocabularySize, masked, random);
  ASSERT_EQ(targets.positions.size(), targets.tokens.size());
  for (size_t i = 0; i < targets.positions.size(); ++i) {
    EXPECT_EQ(targets.tokens[i], life.token[targets.positions[i]]);
  }
}

TEST(MaskTokens, ATenthStaysATenthIsRandomTheRestIsMask) {
  const Document life = Life(30);
  int64_t random_tokens = 0;
  std::set<int32_t> drawn;
  for (uint64_t seed = 0; seed < 300; ++seed) {
    Document masked = life;
    Random random(seed);
    const MaskedTargets targets = MaskTokens(0.3, kVocabularySize, masked, random);
    const auto count = static_cast<int64_t>(targets.positions.size());
    ASSERT_GE(count, 20);
    int64_t mask = 0, same = 0;
    for (int64_t i = 0; i < count; ++i) {
      const int32_t token = masked.token[targets.positions[i]];
      if (token == kMask) {
        ++mask;
      } else if (token == targets.tokens[i]) {
        ++same;
      } else {
        ++random_tokens;
        drawn.insert(token);
      }
    }
    EXPECT_EQ(mask, count - 2 * (count / 10));
    EXPECT_GE(same, count / 10);
  }
  EXPECT_GT(random_tokens, 500);
  EXPECT_EQ(*drawn.begin(), kFirstContentToken);
  EXPECT_EQ(*drawn.rbegin(), kVocabularySize - 1);
}

TEST(MaskTokens, FewCandidatesAreAllMasked) {
  Document life = EncodeLife(1, {kUnk, kUnk, kUnk}, {{1, 20, {12}}}, 64).document;
  Random random(1);
  const MaskedTargets targets = MaskTokens(0.9, kVocabularySize, life, random);
  EXPECT_EQ(targets.positions, std::vector<int64_t>{5});
  EXPECT_EQ(targets.tokens, std::vector<int32_t>{12});
}

TEST(SentenceOrders, ReversalTurnsSentencesAndLeavesTimes) {
  const Document life = Life(10);
  Document reversed = life;
  Random random(1);
  ReorderSentences(SentenceOrder::kReversed, reversed, random);
  EXPECT_EQ(reversed.abspos, life.abspos);
  EXPECT_EQ(reversed.age, life.age);
  EXPECT_EQ(reversed.segment, life.segment);
  auto expected = Sentences(life);
  std::reverse(expected.begin() + 1, expected.end());
  EXPECT_EQ(Sentences(reversed), expected);
  EXPECT_EQ(reversed.token.back(), kSep);
}

TEST(SentenceOrders, ShufflingPermutesWholeSentences) {
  const Document life = Life(12);
  Document shuffled = life;
  Random random(4);
  ReorderSentences(SentenceOrder::kShuffled, shuffled, random);
  EXPECT_NE(shuffled.token, life.token);
  EXPECT_EQ(shuffled.abspos, life.abspos);
  auto before = Sentences(life), after = Sentences(shuffled);
  EXPECT_EQ(before[0], after[0]);
  std::sort(before.begin(), before.end());
  std::sort(after.begin(), after.end());
  EXPECT_EQ(before, after);
}

TEST(SentenceOrders, OriginalOrderChangesNothing) {
  const Document life = Life(12);
  Document same = life;
  Random random(4);
  ReorderSentences(SentenceOrder::kOriginal, same, random);
  EXPECT_EQ(same.token, life.token);
  EXPECT_EQ(same.event, life.event);
}

TEST(SentenceOrders, ATwentiethIsReversedATwentiethShuffled) {
  Random random(9);
  int64_t counts[3] = {0, 0, 0};
  for (int64_t i = 0; i < 20000; ++i) ++counts[static_cast<int64_t>(DrawSentenceOrder(random))];
  EXPECT_NEAR(counts[1], 1000, 130);
  EXPECT_NEAR(counts[2], 1000, 130);
}

}  // namespace
}  // namespace lifescope
