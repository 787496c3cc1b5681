#include "server/intervention/positions.h"

#include <c10/util/Exception.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace lifescope {
namespace {

using ::testing::ElementsAre;
using ::testing::StartsWith;

Document TwoEvents() {
  Document d;
  d.token = {1, 12, 2, 15, 16, 2, 17, 2};
  d.event = {0, 0, 0, 1, 1, 1, 2, 2};
  d.abspos = d.age = d.segment = std::vector<int32_t>(8, 1);
  return d;
}

template <typename Error>
std::string MessageOf(const Positions& positions) {
  try {
    ResolvePositions(positions, TwoEvents(), "reads[3].positions");
  } catch (const Error& error) {
    return error.what_without_backtrace();
  }
  return "no error";
}

TEST(Positions, NothingSetIsEveryPosition) {
  EXPECT_THAT(ResolvePositions({}, TwoEvents(), "p"), ElementsAre(0, 1, 2, 3, 4, 5, 6, 7));
}

TEST(Positions, UnionIsAscendingWithoutRepeats) {
  Positions positions;
  positions.indices = {7, 3};
  positions.ranges = {{2, 5}};
  positions.events = {2};
  positions.cls = true;
  EXPECT_THAT(ResolvePositions(positions, TwoEvents(), "p"), ElementsAre(0, 2, 3, 4, 6, 7));
}

TEST(Positions, ListKeepsTheGivenOrder) {
  Positions positions;
  positions.indices = {7, 3};
  positions.ranges = {{2, 4}};
  positions.events = {1};
  positions.cls = true;
  EXPECT_THAT(ListPositions(positions, TwoEvents(), "p"), ElementsAre(7, 3, 2, 3, 3, 4, 5, 0));
}

TEST(Positions, EventZeroIsThePrefix) {
  Positions positions;
  positions.events = {0};
  EXPECT_THAT(ResolvePositions(positions, TwoEvents(), "p"), ElementsAre(0, 1, 2));
}

// Ages 0 0 0 30 30 30 41 41, days 0 0 0 100 100 100 500 500.
Document Dated() {
  Document d = TwoEvents();
  d.age = {0, 0, 0, 30, 30, 30, 41, 41};
  d.abspos = {0, 0, 0, 100, 100, 100, 500, 500};
  return d;
}

TEST(Positions, BackgroundIsThePrefixWithoutItsEnds) {
  Document d = TwoEvents();
  d.token = {1, 12, 13, 2, 16, 2, 17, 2};
  d.event = {0, 0, 0, 0, 1, 1, 2, 2};
  Positions positions;
  positions.background = true;
  EXPECT_THAT(ResolvePositions(positions, d, "p"), ElementsAre(1, 2));
  EXPECT_FALSE(positions.all());
  positions.cls = true;
  EXPECT_THAT(ListPositions(positions, d, "p"), ElementsAre(0, 1, 2));
}

TEST(Positions, FiltersRestrictWhatIsChosen) {
  Positions positions;
  positions.tokens = {2, 17};
  EXPECT_FALSE(positions.all());
  EXPECT_THAT(ResolvePositions(positions, Dated(), "p"), ElementsAre(2, 5, 6, 7));
  positions.events = {1};
  EXPECT_THAT(ResolvePositions(positions, Dated(), "p"), ElementsAre(5));
  positions.tokens = {17};
  EXPECT_THAT(ResolvePositions(positions, Dated(), "p"), ElementsAre());
}

TEST(Positions, AgesAndDatesAreHalfOpenAndThePrefixHasNone) {
  Positions positions;
  positions.age = {0, 41};
  EXPECT_THAT(ResolvePositions(positions, Dated(), "p"), ElementsAre(3, 4, 5));
  positions.age = {30, 42};
  EXPECT_THAT(ResolvePositions(positions, Dated(), "p"), ElementsAre(3, 4, 5, 6, 7));
  positions.abspos = {100, 500};
  EXPECT_THAT(ResolvePositions(positions, Dated(), "p"), ElementsAre(3, 4, 5));
  positions.age.reset();
  positions.abspos = {-5, 1};
  EXPECT_THAT(ResolvePositions(positions, Dated(), "p"), ElementsAre());
}

TEST(Positions, NamesNoMoreThanTheBound) {
  Positions positions;
  positions.ranges.assign(8192, {0, 8});
  EXPECT_EQ(ListPositions(positions, TwoEvents(), "p").size(), 65536U);
  EXPECT_THAT(ResolvePositions(positions, TwoEvents(), "p"), ElementsAre(0, 1, 2, 3, 4, 5, 6, 7));
  constexpr char kRefused[] = "reads[3].positions: more than 65536 positions named, expected at most 65536";
  positions.indices = {3};
  EXPECT_THAT(MessageOf<c10::ValueError>(positions), StartsWith(kRefused));
  positions = {};
  positions.indices.assign(65537, 3);
  EXPECT_THAT(MessageOf<c10::ValueError>(positions), StartsWith(kRefused));
  positions = {};
  positions.events.assign(21846, 1);
  EXPECT_THAT(MessageOf<c10::ValueError>(positions), StartsWith(kRefused));
}

TEST(Positions, TokensMayComeInAnyOrder) {
  Positions positions;
  positions.tokens = {17, 2, 17, 1};
  EXPECT_THAT(ResolvePositions(positions, TwoEvents(), "p"), ElementsAre(0, 2, 5, 6, 7));
}

TEST(Positions, FaultsNameTheirPath) {
  Positions positions;
  positions.indices = {0, 8};
  EXPECT_THAT(MessageOf<c10::IndexError>(positions), StartsWith("reads[3].positions.indices[1]: 8, expected 0 <="));
  positions = {};
  positions.indices = {-1};
  EXPECT_THAT(MessageOf<c10::IndexError>(positions), StartsWith("reads[3].positions.indices[0]: -1"));
  positions = {};
  positions.ranges = {{0, 2}, {3, 3}};
  EXPECT_THAT(MessageOf<c10::ValueError>(positions), StartsWith("reads[3].positions.ranges[1]: [3, 3)"));
  positions.ranges = {{5, 9}};
  EXPECT_THAT(MessageOf<c10::IndexError>(positions), StartsWith("reads[3].positions.ranges[0]: [5, 9)"));
  positions = {};
  positions.events = {1, 3};
  EXPECT_THAT(MessageOf<c10::IndexError>(positions), StartsWith("reads[3].positions.events[1]: 3"));
  positions = {};
  positions.age = {30, 30};
  EXPECT_THAT(MessageOf<c10::ValueError>(positions), StartsWith("reads[3].positions.age: [30, 30), expected begin <"));
  positions = {};
  positions.abspos = {5, 4};
  EXPECT_THAT(MessageOf<c10::ValueError>(positions), StartsWith("reads[3].positions.abspos: [5, 4)"));
}

}  // namespace
}  // namespace lifescope
