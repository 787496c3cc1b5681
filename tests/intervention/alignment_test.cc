#include "server/intervention/alignment.h"

#include <gtest/gtest.h>

#include "server/corpus/vocabulary.h"

namespace lifescope {
namespace {

using Pairs = std::vector<std::pair<int64_t, int64_t>>;

// [CLS] x [SEP], then events (day, number of tokens) with their [SEP].
Document Life(const std::vector<std::pair<int32_t, int32_t>>& events) {
  return EncodeLife(
             1, {20},
             [&] {
               std::vector<Event> list;
               for (const auto& [day, count] : events) {
                 list.push_back({day, 30, std::vector<int32_t>(static_cast<size_t>(count), 25)});
               }
               return list;
             }(),
             100)
      .document;
}

TEST(Alignment, SlotBySlotEndsWithTheShorter) {
  const Alignment a = Align(Life({{5, 1}}), Life({{5, 3}}), AlignmentRule::kSlot);
  EXPECT_EQ(a.pairs, (Pairs{{0, 0}, {1, 1}, {2, 2}, {3, 3}, {4, 4}}));
  EXPECT_TRUE(a.base_only.empty());
  EXPECT_EQ(a.donor_only, (std::vector<int64_t>{5, 6}));
}

TEST(Alignment, EventsByNumberPairTheirSeparators) {
  // Events at 3..4 and 5..8; the donor's at 3..6 and 7..8, and a third.
  const Alignment a = Align(Life({{5, 1}, {9, 3}}), Life({{6, 3}, {7, 1}, {8, 1}}), AlignmentRule::kEventNumber);
  EXPECT_EQ(a.pairs, (Pairs{{0, 0}, {1, 1}, {2, 2}, {3, 3}, {4, 6}, {5, 7}, {8, 8}}));
  EXPECT_EQ(a.base_only, (std::vector<int64_t>{6, 7}));
  EXPECT_EQ(a.donor_only, (std::vector<int64_t>{4, 5, 9, 10}));
}

TEST(Alignment, EventsByDateInOrderWithinADay) {
  const Alignment a =
      Align(Life({{5, 1}, {9, 1}, {9, 2}}), Life({{4, 1}, {9, 1}, {9, 1}, {9, 1}}), AlignmentRule::kEventDate);
  // The prefix, then the two events of day 9.
  EXPECT_EQ(a.pairs, (Pairs{{0, 0}, {1, 1}, {2, 2}, {5, 5}, {6, 6}, {7, 7}, {9, 8}}));
  EXPECT_EQ(a.base_only, (std::vector<int64_t>{3, 4, 8}));
  EXPECT_EQ(a.donor_only, (std::vector<int64_t>{3, 4, 9, 10}));
}

TEST(Alignment, ADocumentWithItself) {
  const Document life = Life({{5, 2}, {9, 1}});
  for (const AlignmentRule rule : {AlignmentRule::kSlot, AlignmentRule::kEventNumber, AlignmentRule::kEventDate}) {
    const Alignment a = Align(life, life, rule);
    EXPECT_EQ(a.pairs.size(), static_cast<size_t>(life.length()));
    for (const auto& [base, donor] : a.pairs) EXPECT_EQ(base, donor);
    EXPECT_TRUE(a.base_only.empty() && a.donor_only.empty());
  }
}

}  // namespace
}  // namespace lifescope
