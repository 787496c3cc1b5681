#include "client/cli/life_text.h"

#include <gtest/gtest.h>

#include "tests/client/canned_answers.h"

namespace lifescope {
namespace {

TEST(LifeTextTest, EventsKnowTheirPositionsAndDates) {
  const LifeText text(FakeText());
  ASSERT_EQ(text.events().size(), 3);
  EXPECT_EQ(text.events()[0].end, 4);
  EXPECT_EQ(text.events()[1].begin, 4);
  EXPECT_EQ(text.events()[1].end, 7);
  EXPECT_EQ(text.events()[1].date, "1990-03-04");
  EXPECT_EQ(text.events()[1].age, 32);
  EXPECT_EQ(LifeText::When(text.events()[0]), "background");
}

TEST(LifeTextTest, ALineLeavesItsSeparatorOutAndMarksOneToken) {
  const LifeText text(FakeText());
  EXPECT_EQ(text.Line(text.events()[1]).Render(false), "IND_4662 POS_3");
  EXPECT_EQ(text.Line(text.events()[1], 5).Render(false), "IND_4662 «POS_3»");
  EXPECT_EQ(text.Line(text.events()[1], 6).Render(false), "IND_4662 POS_3 «[SEP]»");
}

TEST(LifeTextTest, MaskedTokensSayWhatTheyHide) {
  const LifeText text(FakeText(), {4, 99});
  EXPECT_EQ(text.TokenAt(4), "[MASK=IND_4662]");
  EXPECT_EQ(text.TokenAt(5), "POS_3");
}

TEST(LifeTextTest, PositionsOfAWindowCountFromTheWholeDocument) {
  v1::DocumentText window = FakeText();
  window.set_first_position(50);
  const LifeText text(window, {54});
  EXPECT_EQ(text.TokenAt(54), "[MASK=IND_4662]");
  EXPECT_EQ(text.TokenAt(4), "");
  EXPECT_EQ(text.TokenAt(60), "");
  ASSERT_NE(text.EventAt(54), nullptr);
  EXPECT_EQ(text.EventAt(54)->number, 1);
  EXPECT_EQ(text.EventAt(49), nullptr);
}

TEST(LifeTextTest, AnInlineLifeIsLaidOutAsTheServerDoes) {
  v1::InlineLife life;
  life.add_background("FEMALE");
  v1::LifeEvent* event = life.add_events();
  event->set_abspos(32);
  event->set_age(40);
  event->add_tokens("IND_4662");
  life.add_events()->set_abspos(40);  // Without tokens: takes no place.
  life.add_events()->add_tokens("POS_3");

  const LifeText text = LifeText::OfInlineLife(life, absl::CivilDay(2008, 1, 1), {});
  ASSERT_EQ(text.length(), 7);
  EXPECT_EQ(text.TokenAt(0), "[CLS]");
  EXPECT_EQ(text.TokenAt(2), "[SEP]");
  EXPECT_EQ(text.TokenAt(3), "IND_4662");
  EXPECT_EQ(text.events()[1].date, "2008-02-01");
  EXPECT_EQ(text.events()[2].number, 2);
  EXPECT_EQ(text.TokenAt(5), "POS_3");
  EXPECT_EQ(LifeText::OfInlineLife(life, std::nullopt, {}).events()[1].date, "day 32");
}

}  // namespace
}  // namespace lifescope
