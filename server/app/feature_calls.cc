// What is known of each feature, from a feature index.
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/app/app.h"
#include "server/app/convert.h"
#include "server/app/document_text.h"
#include "server/app/field_path.h"
#include "server/app/page.h"
#include "server/app/status_macros.h"
#include "server/runtime/registry.h"

namespace lifescope {
namespace {

constexpr int32_t kMaxContextEvents = 20;

absl::Status CheckFeature(int32_t feature, int64_t feature_count) {
  if (0 <= feature && feature < feature_count) return absl::OkStatus();
  return absl::OutOfRangeError(absl::StrCat("feature: ", feature, ", expected 0 <= feature < ", feature_count));
}

absl::StatusOr<FeatureOrder> ToOrder(v1::FeatureOrder order) {
  switch (order) {
    case v1::FEATURE_ORDER_UNSPECIFIED:
    case v1::FEATURE_ORDER_INDEX:
      return FeatureOrder::kIndex;
    case v1::FEATURE_ORDER_TOKEN_DENSITY_DESC:
      return FeatureOrder::kTokenDensityDesc;
    case v1::FEATURE_ORDER_MAX_ACTIVATION_DESC:
      return FeatureOrder::kMaxActivationDesc;
    default:
      return absl::InvalidArgumentError(absl::StrCat("order: ", order, ", expected a FeatureOrder"));
  }
}

}  // namespace

struct App::IndexedDictionary {
  int64_t feature_count = 0;
  FeatureIndexRecord index;
};

absl::Status App::FindIndex(const std::string& dictionary, const std::string& index_id, IndexedDictionary& found) {
  const DictionaryArtifact* artifact = nullptr;
  RETURN_IF_ERROR(CatchInField("dictionary", [&] { artifact = &registry_->Dictionary(dictionary, ""); }));
  found.feature_count = artifact->dictionary->feature_count();
  if (index_id.empty()) {
    absl::StatusOr<FeatureIndexRecord> newest = store_->NewestFeatureIndex(artifact->digest);
    if (absl::IsNotFound(newest.status())) {
      return absl::NotFoundError(
          absl::StrCat("dictionary: '", artifact->name, "' has no feature index; run `lifescoped index`"));
    }
    if (!newest.ok()) return newest.status();
    found.index = *std::move(newest);
    return absl::OkStatus();
  }
  RETURN_IF_ERROR(CheckPlainText("index_id", index_id));
  absl::StatusOr<FeatureIndexRecord> index = store_->GetFeatureIndex(index_id);
  if (!index.ok() && !absl::IsNotFound(index.status())) return index.status();
  if (!index.ok() || index->dictionary_digest != artifact->digest) {
    return absl::NotFoundError(
        absl::StrCat("index_id: dictionary '", artifact->name, "' has no index '", index_id, "'"));
  }
  found.index = *std::move(index);
  return absl::OkStatus();
}

absl::Status App::GetFeature(const v1::GetFeatureRequest& request, v1::Feature& response) {
  return Guard([&]() -> absl::Status {
    IndexedDictionary found;
    RETURN_IF_ERROR(FindIndex(request.dictionary(), request.index_id(), found));
    RETURN_IF_ERROR(CheckFeature(request.feature(), found.feature_count));
    ASSIGN_OR_RETURN(const FeatureRecord feature, store_->GetFeature(found.index.index_id, request.feature()));
    ToMessage(feature, found.index, response);
    return absl::OkStatus();
  });
}

absl::Status App::ListFeatures(const v1::ListFeaturesRequest& request, v1::ListFeaturesResponse& response) {
  return Guard([&]() -> absl::Status {
    ASSIGN_OR_RETURN(const PageRequest page, ToPageRequest(request));
    ASSIGN_OR_RETURN(const FeatureOrder order, ToOrder(request.order()));
    IndexedDictionary found;
    RETURN_IF_ERROR(FindIndex(request.dictionary(), request.index_id(), found));
    ASSIGN_OR_RETURN(const Page<FeatureRecord> features, store_->ListFeatures(found.index.index_id, order, page));
    for (const FeatureRecord& feature : features.items) ToMessage(feature, found.index, *response.add_features());
    response.set_next_page_token(features.next_page_token);
    return absl::OkStatus();
  });
}

absl::Status App::ListTopExamples(const v1::ListTopExamplesRequest& request, CallContext& call,
                                  v1::ListTopExamplesResponse& response) {
  return Guard([&]() -> absl::Status {
    ASSIGN_OR_RETURN(const PageRequest page, ToPageRequest(request));
    if (request.context_events() < 0 || request.context_events() > kMaxContextEvents) {
      return InvalidField("context_events",
                          absl::StrCat(request.context_events(), ", expected 0 to ", kMaxContextEvents));
    }
    if (request.include_text()) RETURN_IF_ERROR(CheckMayGiveText());
    IndexedDictionary found;
    RETURN_IF_ERROR(FindIndex(request.dictionary(), request.index_id(), found));
    RETURN_IF_ERROR(CheckFeature(request.feature(), found.feature_count));
    ASSIGN_OR_RETURN(const Page<ExampleRecord> examples,
                     store_->ListExamples(found.index.index_id, request.feature(), page));
    for (const ExampleRecord& example : examples.items) ToMessage(example, *response.add_examples());
    response.set_next_page_token(examples.next_page_token);
    ToMessage(found.index, *response.mutable_index());
    if (!request.include_text()) return absl::OkStatus();
    return JoinText(found.index.corpus_digest, request.context_events(), call, response);
  });
}

absl::Status App::JoinText(const std::string& corpus_digest, int32_t context_events, const CallContext& call,
                           v1::ListTopExamplesResponse& response) {
  const CorpusArtifact* artifact = nullptr;
  RETURN_IF_ERROR(CatchInField("include_text", [&] { artifact = &registry_->Corpus(corpus_digest); }));
  const Corpus& corpus = *artifact->corpus;
  std::vector<int64_t> persons;
  for (v1::Example& example : *response.mutable_examples()) {
    const std::optional<int64_t> index = corpus.Find(example.person_id());
    if (!index.has_value()) {
      return absl::DataLossError(absl::StrCat("the index names person ", example.person_id(), ", whom corpus '",
                                              artifact->name, "' does not have"));
    }
    const int32_t event = EventAt(corpus, *index, example.position());
    ToText(corpus, *index, event - context_events, event + context_events, *example.mutable_text());
    persons.push_back(example.person_id());
  }
  if (persons.empty()) return absl::OkStatus();
  return AuditText("ListTopExamples", corpus_digest, std::move(persons), call);
}

}  // namespace lifescope
