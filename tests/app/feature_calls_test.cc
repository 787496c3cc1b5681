#include <gtest/gtest.h>

#include "server/app/app.h"
#include "tests/app/tiny_home.h"

namespace lifescope {
namespace {

TEST(FeatureCalls, WithoutAnIndexNothingIsKnown) {
  const TinyApp tiny;
  v1::Feature feature;
  EXPECT_EQ(tiny.app->GetFeature({}, feature),
            absl::NotFoundError("dictionary: 'tiny_sae' has no feature index; run `lifescoped index`"));
}

TEST(FeatureCalls, AFeatureIsThatOfTheNewestIndex) {
  const TinyApp tiny;
  const std::string index_id = tiny.StoreFeatureIndex();
  v1::GetFeatureRequest request;
  request.set_feature(5);
  v1::Feature feature;
  ASSERT_TRUE(tiny.app->GetFeature(request, feature).ok());
  EXPECT_EQ(feature.feature(), 5);
  EXPECT_DOUBLE_EQ(feature.max_activation(), 15);
  EXPECT_DOUBLE_EQ(feature.mean_activation(), 5);
  EXPECT_EQ(feature.index().index_id(), index_id);
  EXPECT_EQ(feature.index().person_count(), 50);
  request.set_index_id(index_id);
  v1::Feature same;
  ASSERT_TRUE(tiny.app->GetFeature(request, same).ok());
  EXPECT_EQ(feature.SerializeAsString(), same.SerializeAsString());
}

TEST(FeatureCalls, AFeatureOutsideTheDictionaryIsOutOfRange) {
  const TinyApp tiny;
  tiny.StoreFeatureIndex();
  v1::Feature feature;
  for (const int32_t index : {-1, kTinyFeatures}) {
    v1::GetFeatureRequest request;
    request.set_feature(index);
    const absl::Status status = tiny.app->GetFeature(request, feature);
    EXPECT_TRUE(absl::IsOutOfRange(status)) << status;
    EXPECT_NE(status.message().find("expected 0 <= feature < 24"), absl::string_view::npos) << status;
  }
}

TEST(FeatureCalls, AnUnknownIndexIsNotFound) {
  const TinyApp tiny;
  tiny.StoreFeatureIndex();
  v1::GetFeatureRequest request;
  request.set_index_id("3f2b8c1e-0000-4000-8000-000000000000");
  v1::Feature feature;
  const absl::Status status = tiny.app->GetFeature(request, feature);
  EXPECT_TRUE(absl::IsNotFound(status)) << status;
  EXPECT_NE(status.message().find("has no index '3f2b8c1e"), absl::string_view::npos) << status;
}

TEST(FeatureCalls, ListsFollowTheOrder) {
  const TinyApp tiny;
  tiny.StoreFeatureIndex();
  v1::ListFeaturesRequest request;
  request.set_page_size(2);
  request.set_order(v1::FEATURE_ORDER_MAX_ACTIVATION_DESC);
  v1::ListFeaturesResponse response;
  ASSERT_TRUE(tiny.app->ListFeatures(request, response).ok());
  ASSERT_EQ(response.features_size(), 2);
  EXPECT_EQ(response.features(0).feature(), kTinyFeatures - 1);
  request.set_page_token(response.next_page_token());
  v1::ListFeaturesResponse next;
  ASSERT_TRUE(tiny.app->ListFeatures(request, next).ok());
  EXPECT_EQ(next.features(0).feature(), kTinyFeatures - 3);
  request.clear_page_token();
  request.set_order(static_cast<v1::FeatureOrder>(55));
  EXPECT_TRUE(absl::IsInvalidArgument(tiny.app->ListFeatures(request, response)));
}

TEST(FeatureCalls, ExamplesAreReferencesUnlessTextIsAsked) {
  const TinyApp tiny;
  tiny.StoreFeatureIndex();
  v1::ListTopExamplesRequest request;
  request.set_feature(2);
  CallContext call;
  v1::ListTopExamplesResponse response;
  ASSERT_TRUE(tiny.app->ListTopExamples(request, call, response).ok());
  ASSERT_EQ(response.examples_size(), 3);
  EXPECT_EQ(response.examples(0).rank(), 1);
  EXPECT_EQ(response.examples(0).person_id(), TinyPersonId(1));
  EXPECT_FALSE(response.examples(0).has_text());
  EXPECT_EQ(tiny.OpenStoreAgain()->ListAudit({10, ""})->items.size(), 0u);
}

TEST(FeatureCalls, TextIsTheWindowAroundTheExampleAndAuditedOnce) {
  const TinyApp tiny;
  tiny.StoreFeatureIndex();
  v1::ListTopExamplesRequest request;
  request.set_include_text(true);
  request.set_context_events(1);
  CallContext call;
  call.principal = "reader";
  v1::ListTopExamplesResponse response;
  ASSERT_TRUE(tiny.app->ListTopExamples(request, call, response).ok());
  ASSERT_EQ(response.examples_size(), 3);
  for (const v1::Example& example : response.examples()) {
    const v1::DocumentText& text = example.text();
    ASSERT_GT(text.tokens_size(), 0);
    EXPECT_EQ(text.person_id(), example.person_id());
    const int row = example.position() - text.first_position();
    ASSERT_GE(row, 0);
    ASSERT_LT(row, text.tokens_size());
    const int32_t event = text.events(row);
    EXPECT_GE(text.events(0), event - 1);
    EXPECT_LE(text.events(text.events_size() - 1), event + 1);
    EXPECT_FALSE(text.event_dates(event).empty());
  }
  const auto audit = tiny.OpenStoreAgain()->ListAudit({10, ""});
  ASSERT_EQ(audit->items.size(), 1u);
  EXPECT_EQ(audit->items[0].action, "ListTopExamples");
  EXPECT_EQ(audit->items[0].person_ids.size(), 3u);
}

TEST(FeatureCalls, AServerWithoutTextStillGivesReferences) {
  AppOptions options = TinyApp::SmallOptions();
  options.gives_text = false;
  const TinyApp tiny(options);
  tiny.StoreFeatureIndex();
  v1::ListTopExamplesRequest request;
  CallContext call;
  v1::ListTopExamplesResponse response;
  EXPECT_TRUE(tiny.app->ListTopExamples(request, call, response).ok());
  request.set_include_text(true);
  EXPECT_TRUE(absl::IsPermissionDenied(tiny.app->ListTopExamples(request, call, response)));
}

TEST(FeatureCalls, ContextIsBounded) {
  const TinyApp tiny;
  tiny.StoreFeatureIndex();
  for (const int32_t events : {-1, 21}) {
    v1::ListTopExamplesRequest request;
    request.set_context_events(events);
    CallContext call;
    v1::ListTopExamplesResponse response;
    EXPECT_TRUE(absl::IsInvalidArgument(tiny.app->ListTopExamples(request, call, response)));
  }
}

}  // namespace
}  // namespace lifescope
