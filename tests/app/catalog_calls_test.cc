#include <gtest/gtest.h>

#include "server/app/app.h"
#include "server/runtime/registry.h"
#include "tests/app/tiny_home.h"

namespace lifescope {
namespace {

TEST(CatalogCalls, ListsHaveEveryArtefactWithItsNumbers) {
  const TinyApp tiny;
  v1::ListModelsResponse models;
  v1::ListDictionariesResponse dictionaries;
  v1::ListCorporaResponse corpora;
  ASSERT_TRUE(tiny.app->ListModels({}, models).ok());
  ASSERT_TRUE(tiny.app->ListDictionaries({}, dictionaries).ok());
  ASSERT_TRUE(tiny.app->ListCorpora({}, corpora).ok());
  ASSERT_EQ(models.models_size(), 1);
  EXPECT_EQ(models.models(0).name(), "tiny");
  EXPECT_EQ(models.models(0).digest().rfind("sha256:", 0), 0u);
  EXPECT_EQ(models.models(0).layer_count(), 2);
  EXPECT_EQ(models.models(0).local_head_count(), 2);
  EXPECT_EQ(models.models(0).max_length(), kTinyMaxLength);
  EXPECT_GT(models.models(0).parameter_count(), 1000);
  ASSERT_EQ(dictionaries.dictionaries_size(), 1);
  EXPECT_EQ(dictionaries.dictionaries(0).hook_point(), kTinyHook);
  EXPECT_EQ(dictionaries.dictionaries(0).model(), "tiny");
  EXPECT_EQ(dictionaries.dictionaries(0).architecture(), "standard");
  EXPECT_EQ(dictionaries.dictionaries(0).feature_count(), kTinyFeatures);
  ASSERT_EQ(corpora.corpora_size(), 1);
  EXPECT_EQ(corpora.corpora(0).person_count(), 50);
  EXPECT_EQ(corpora.corpora(0).train_person_count() + corpora.corpora(0).validation_person_count() +
                corpora.corpora(0).test_person_count(),
            50);
  EXPECT_EQ(corpora.corpora(0).vocabulary_size(), models.models(0).vocabulary_size());
}

TEST(CatalogCalls, HeadsSayWhatTheyPredictOverWhichModel) {
  const TinyApp tiny;
  v1::ListHeadsResponse heads;
  ASSERT_TRUE(tiny.app->ListHeads({}, heads).ok());
  ASSERT_EQ(heads.heads_size(), 1);
  v1::Head head;
  ASSERT_TRUE(tiny.app->GetHead({}, head).ok());
  EXPECT_EQ(head.SerializeAsString(), heads.heads(0).SerializeAsString());
  v1::Model model;
  ASSERT_TRUE(tiny.app->GetModel({}, model).ok());
  EXPECT_EQ(head.name(), "tiny_head");
  EXPECT_EQ(head.model(), "tiny");
  EXPECT_EQ(head.model_digest(), model.digest());
  EXPECT_EQ(head.kind(), "attention");
  EXPECT_EQ(head.n_slots(), kTinyMaxLength);
  ASSERT_EQ(head.targets_size(), 1);
  EXPECT_EQ(head.targets(0).name(), "trait:illness=cardiac");
  EXPECT_EQ(head.targets(0).classes(1), "cardiac");
  v1::GetHeadRequest missing;
  missing.set_head("x");
  EXPECT_EQ(tiny.app->GetHead(missing, head), absl::NotFoundError("head: no head 'x'; there are: tiny_head"));
  const auto stored = tiny.OpenStoreAgain()->ListArtifacts(ArtifactKind::kHead, {10, ""});
  ASSERT_TRUE(stored.ok());
  EXPECT_EQ(stored->items.size(), 1u);
}

TEST(CatalogCalls, GetsFindByNameByDigestAndTheOnlyOne) {
  const TinyApp tiny;
  v1::Model model, same;
  ASSERT_TRUE(tiny.app->GetModel({}, model).ok());
  v1::GetModelRequest by_digest;
  by_digest.set_model(model.digest());
  ASSERT_TRUE(tiny.app->GetModel(by_digest, same).ok());
  EXPECT_EQ(model.SerializeAsString(), same.SerializeAsString());
  v1::Dictionary dictionary;
  EXPECT_TRUE(tiny.app->GetDictionary({}, dictionary).ok());
  v1::Corpus corpus;
  EXPECT_TRUE(tiny.app->GetCorpus({}, corpus).ok());
  v1::GetCorpusRequest missing;
  missing.set_corpus("x");
  EXPECT_EQ(tiny.app->GetCorpus(missing, corpus), absl::NotFoundError("corpus: no corpus 'x'; there are: world"));
}

TEST(CatalogCalls, PageTokensAreChecked) {
  const TinyApp tiny;
  v1::ListModelsRequest request;
  v1::ListModelsResponse response;
  for (const char* token : {"-1", "0", "7", "x"}) {
    request.set_page_token(token);
    EXPECT_TRUE(absl::IsInvalidArgument(tiny.app->ListModels(request, response))) << token;
  }
}

TEST(CatalogCalls, ArtefactsAreRegisteredInTheStore) {
  const TinyApp tiny;
  const auto models = tiny.OpenStoreAgain()->ListArtifacts(ArtifactKind::kModel, {10, ""});
  ASSERT_TRUE(models.ok());
  ASSERT_EQ(models->items.size(), 1u);
  EXPECT_EQ(models->items[0].name, "tiny");
  EXPECT_NE(models->items[0].description.find("\"layerCount\":2"), std::string::npos) << models->items[0].description;
}

TEST(CatalogCalls, CapabilitiesTellLimitsAndHookPoints) {
  AppOptions options = TinyApp::SmallOptions();
  options.max_documents_per_run = 77;
  const TinyApp tiny(options);
  v1::Capabilities capabilities;
  ASSERT_TRUE(tiny.app->GetCapabilities({}, capabilities).ok());
  EXPECT_EQ(capabilities.max_documents_per_run(), 77);
  EXPECT_EQ(capabilities.worker_count(), 1);
  EXPECT_EQ(capabilities.max_queued_calls(), 1);
  EXPECT_EQ(capabilities.store(), "sqlite");
  EXPECT_EQ(capabilities.device(), "cpu");
  EXPECT_TRUE(capabilities.gives_text());
  bool has_hook = false;
  for (const v1::HookPointDescription& point : capabilities.hook_points().at("tiny").points()) {
    has_hook |= point.name() == kTinyHook && point.shape_size() == 1 && point.shape(0) == 16;
  }
  EXPECT_TRUE(has_hook);
}

TEST(CatalogCalls, EveryHookPointOfTheCapabilitiesCanBeReadAndEdited) {
  const TinyApp tiny;
  v1::Capabilities capabilities;
  ASSERT_TRUE(tiny.app->GetCapabilities({}, capabilities).ok());
  for (const v1::HookPointDescription& point : capabilities.hook_points().at("tiny").points()) {
    v1::RunRequest request;
    *request.mutable_run()->add_documents() = TinyPerson(0);
    v1::Edit& edit = *request.mutable_run()->add_interventions()->add_edits();
    edit.mutable_activation()->set_hook_point(point.name());
    edit.mutable_scale()->set_factor(0.5);
    request.mutable_run()->add_reads()->mutable_activation()->set_hook_point(point.name());
    CallContext call;
    v1::RunResponse response;
    const absl::Status status = tiny.app->Run(request, call, response);
    ASSERT_TRUE(status.ok()) << point.name() << ": " << status;
    const v1::Tensor& tensor = response.result().clean(0).values(0).tensor();
    const bool is_summary = point.name().rfind("heads.", 0) == 0;
    EXPECT_EQ(tensor.shape(0), is_summary ? 1 : TinyPersonLength(0)) << point.name();
  }
}

TEST(CatalogCalls, TextIsAuditedBeforeItLeaves) {
  const TinyApp tiny;
  v1::GetDocumentRequest request;
  *request.mutable_person() = TinyPerson(3).person();
  CallContext call;
  call.principal = "reader";
  v1::DocumentText text;
  ASSERT_TRUE(tiny.app->GetDocument(request, call, text).ok());
  EXPECT_EQ(text.person_id(), TinyPersonId(3));
  ASSERT_EQ(text.tokens_size(), TinyPersonLength(3));
  EXPECT_EQ(text.tokens(0), "[CLS]");
  EXPECT_EQ(text.events(0), 0);
  EXPECT_EQ(text.first_position(), 0);
  const auto audit = tiny.OpenStoreAgain()->ListAudit({10, ""});
  ASSERT_TRUE(audit.ok());
  ASSERT_EQ(audit->items.size(), 1u);
  EXPECT_EQ(audit->items[0].principal, "reader");
  EXPECT_EQ(audit->items[0].action, "GetDocument");
  EXPECT_EQ(audit->items[0].person_ids, std::vector<int64_t>{TinyPersonId(3)});
}

TEST(CatalogCalls, EventDatesCountFromTheReferenceDate) {
  const TinyApp tiny;
  const Registry registry = Registry::Load(TinyHome(), at::kCPU);
  v1::GetDocumentRequest request;
  *request.mutable_person() = TinyPerson(3).person();
  CallContext call;
  v1::DocumentText text;
  ASSERT_TRUE(tiny.app->GetDocument(request, call, text).ok());
  EXPECT_EQ(text.event_dates_size(), text.events(text.events_size() - 1) + 1);
  EXPECT_EQ(text.event_dates(0), "");
  const Date reference = registry.Corpus("").corpus->manifest().reference_date;
  for (int i = 0; i < text.tokens_size(); ++i) {
    if (text.events(i) == 0) continue;
    const auto date = Date::Parse(text.event_dates(text.events(i)));
    ASSERT_TRUE(date.has_value());
    EXPECT_EQ(date->DayNumber() - reference.DayNumber() + 1, text.abspos(i));
  }
}

TEST(CatalogCalls, AServerWithoutTextGivesNone) {
  AppOptions options = TinyApp::SmallOptions();
  options.gives_text = false;
  const TinyApp tiny(options);
  v1::GetDocumentRequest request;
  *request.mutable_person() = TinyPerson(3).person();
  CallContext call;
  v1::DocumentText text;
  EXPECT_TRUE(absl::IsPermissionDenied(tiny.app->GetDocument(request, call, text)));
  EXPECT_EQ(text.tokens_size(), 0);
}

TEST(CatalogCalls, AMissingPersonHasNoText) {
  const TinyApp tiny;
  v1::GetDocumentRequest request;
  request.mutable_person()->set_person_id(-1);
  CallContext call;
  v1::DocumentText text;
  EXPECT_EQ(tiny.app->GetDocument(request, call, text),
            absl::NotFoundError("person.person_id: no person -1 in corpus 'world'"));
}

}  // namespace
}  // namespace lifescope
