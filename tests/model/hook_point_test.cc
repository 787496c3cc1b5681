#include "server/model/hook_point.h"

#include <ATen/ATen.h>
#include <c10/util/Exception.h>
#include <c10/util/StringUtil.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "tests/model/small_model.h"

namespace lifescope {
namespace {

using testing::AllOf;
using testing::HasSubstr;

TEST(HookPoint, NamesRoundTripAndDiffer) {
  std::set<std::string> names;
  for (const HookPoint& point : AllHookPoints(SmallHyperparameters())) {
    EXPECT_TRUE(HookPoint::Parse(point.ToString()) == point) << point.ToString();
    EXPECT_TRUE(names.insert(point.ToString()).second) << point.ToString();
    point.CheckLayer(SmallHyperparameters());
  }
  EXPECT_EQ(names.size(), 5u + 3 * 20 + 3);
  EXPECT_EQ((HookPoint{Site::kResidPost, 3}.ToString()), "blocks.3.hook_resid_post");
  EXPECT_EQ((HookPoint{Site::kPhiK, 12}.ToString()), "blocks.12.attn.hook_phi_k");
}

TEST(HookPoint, ASiteOfAHeadHasTheHeadsName) {
  for (const char* name : {"heads.heart.hook_person_summary", "heads.v1.2.hook_pool_pattern"}) {
    EXPECT_EQ(HookPoint::Parse(name).ToString(), name);
  }
  EXPECT_EQ(HookPoint::Parse("heads.v1.2.hook_pool_pattern").head, "v1.2");
  EXPECT_FALSE((HookPoint{Site::kPersonSummary, -1, "a"} == HookPoint{Site::kPersonSummary, -1, "b"}));
  EXPECT_EQ(ShapeAt({Site::kPersonSummary, -1, "a"}, SmallHyperparameters()), std::vector<int64_t>{20});
}

TEST(HookPoint, UnknownNamesAreRefusedWithTheKnownOnes) {
  for (const char* name :
       {"", "hook_nothing", "blocks.hook_q", "blocks.1.hook_embed", "hook_resid_post", "blocks.-1.hook_resid_post",
        "blocks.1.", "blocks.1", "blocks.99999999999999999999.hook_resid_post", "blocks.1 .hook_resid_post",
        "Blocks.1.hook_resid_post", "blocks.1.hook_resid_post ", "blocks.hook_embed", "heads.hook_embed",
        "heads..hook_person_summary", "hook_person_summary", "heads.a.hook_embed", "heads.a"}) {
    EXPECT_THAT(MessageOf<c10::ValueError>([&] { HookPoint::Parse(name); }),
                AllOf(HasSubstr(c10::str("'", name, "'")), HasSubstr("blocks.<layer>.hook_resid_post")));
  }
}

TEST(HookPoint, ALayerOutsideTheModelIsNamed) {
  EXPECT_THAT(MessageOf<c10::ValueError>([] { HookPoint::Parse("blocks.3.hook_z0"); }), HasSubstr("hook_z0"));
  EXPECT_THAT(
      MessageOf<c10::ValueError>([] { HookPoint::Parse("blocks.3.attn.hook_z").CheckLayer(SmallHyperparameters()); }),
      AllOf(HasSubstr("blocks.3.attn.hook_z"), HasSubstr("layers 0 to 2")));
}

TEST(HookPoint, PointsOfAbsentHeadsDoNotExist) {
  Hyperparameters h = SmallHyperparameters();
  h.n_local = 0;
  EXPECT_THAT(MessageOf<c10::ValueError>([&] {
                HookPoint{Site::kPatternLocal, 0}.CheckLayer(h);
              }),
              HasSubstr("0 local heads"));
  EXPECT_THAT(AllHookPoints(h), testing::Not(testing::Contains(HookPoint{Site::kPatternLocal, 0})));
  h.n_local = h.n_heads;
  EXPECT_THAT(MessageOf<c10::ValueError>([&] { HookPoint{Site::kKsum, 0}.CheckLayer(h); }), HasSubstr("0 global"));
}

TEST(Hooks, AtOnePointRunInOrder) {
  Hooks hooks;
  const HookPoint point{Site::kEmbed, -1};
  hooks.Add(point, [](const at::Tensor& x) { return x + 1; });
  at::Tensor between;
  hooks.Capture(point, &between);
  hooks.Add(point, [](const at::Tensor& x) { return x * 10; });
  EXPECT_EQ(hooks.Apply(point, at::ones({1})).item<float>(), 20);
  EXPECT_EQ(between.item<float>(), 2);
  EXPECT_TRUE(hooks.Has(point));
  EXPECT_FALSE(hooks.Has({Site::kEmbed, 0}));
}

}  // namespace
}  // namespace lifescope
