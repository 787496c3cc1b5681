#include "server/app/convert.h"

#include <ATen/ATen.h>

#include <bit>

namespace lifescope {
namespace {

static_assert(std::endian::native == std::endian::little, "tensors travel little-endian and are copied as they are");

v1::DataType TypeOf(at::ScalarType type) {
  switch (type) {
    case at::kFloat:
      return v1::DATA_TYPE_FLOAT32;
    case at::kDouble:
      return v1::DATA_TYPE_FLOAT64;
    case at::kLong:
      return v1::DATA_TYPE_INT64;
    case at::kInt:
      return v1::DATA_TYPE_INT32;
    default:
      break;
  }
  TORCH_CHECK_VALUE(false, "tensor of ", type, ", expected float32, float64, int64 or int32");
}

void ToMessage(const DocumentResult& result, v1::DocumentResult& message) {
  message.set_document(static_cast<int32_t>(result.document));
  for (const ReadValue& value : result.values) {
    v1::ReadValue& read = *message.add_values();
    read.set_read(static_cast<int32_t>(value.read));
    if (const auto* tensor = std::get_if<at::Tensor>(&value.value)) {
      lifescope::ToMessage(*tensor, *read.mutable_tensor());
    } else {
      lifescope::ToMessage(std::get<FeatureValue>(value.value), *read.mutable_features());
    }
  }
}

double Share(int64_t part, int64_t whole) {
  return whole == 0 ? 0 : static_cast<double>(part) / static_cast<double>(whole);
}

}  // namespace

void ToMessage(const at::Tensor& tensor, v1::Tensor& message) {
  message.set_data_type(TypeOf(tensor.scalar_type()));
  const at::Tensor copy = tensor.detach().to(at::kCPU).contiguous();
  for (const int64_t size : copy.sizes()) message.add_shape(size);
  message.set_data(static_cast<const char*>(copy.data_ptr()), copy.nbytes());
}

void ToMessage(const FeatureValue& value, v1::SparseFeatures& message) {
  ToMessage(at::tensor(value.positions, at::kLong), *message.mutable_positions());
  ToMessage(value.activations.row_offsets, *message.mutable_row_offsets());
  ToMessage(value.activations.features, *message.mutable_features());
  ToMessage(value.activations.values, *message.mutable_values());
  message.set_feature_count(static_cast<int32_t>(value.activations.feature_count));
}

void ToMessage(const RunResult& result, v1::RunResult& message) {
  for (const DocumentResult& document : result.clean) ToMessage(document, *message.add_clean());
  for (const InterventionResult& intervention : result.interventions) {
    v1::InterventionResult& entry = *message.add_interventions();
    entry.set_name(intervention.name);
    for (const DocumentResult& document : intervention.documents) ToMessage(document, *entry.add_documents());
  }
}

void ToMessage(const ModelArtifact& model, v1::Model& message) {
  const Hyperparameters& h = model.transformer->hyperparameters();
  message.set_name(model.name);
  message.set_digest(model.digest);
  message.set_hidden_size(static_cast<int32_t>(h.hidden_size));
  message.set_hidden_ff(static_cast<int32_t>(h.hidden_ff));
  message.set_layer_count(static_cast<int32_t>(h.n_encoders));
  message.set_head_count(static_cast<int32_t>(h.n_heads));
  message.set_local_head_count(static_cast<int32_t>(h.n_local));
  message.set_local_window_size(static_cast<int32_t>(h.local_window_size));
  message.set_random_feature_count(static_cast<int32_t>(h.num_random_features));
  message.set_max_length(static_cast<int32_t>(h.max_length));
  message.set_vocabulary_size(static_cast<int32_t>(h.vocab_size));
  message.set_parameter_count(model.transformer->ParameterCount());
}

void ToMessage(const DictionaryArtifact& dictionary, v1::Dictionary& message) {
  message.set_name(dictionary.name);
  message.set_digest(dictionary.digest);
  message.set_model(dictionary.model);
  message.set_hook_point(dictionary.hook_point.ToString());
  message.set_architecture(dictionary.dictionary->architecture());
  message.set_activation_dim(static_cast<int32_t>(dictionary.dictionary->activation_dim()));
  message.set_feature_count(static_cast<int32_t>(dictionary.dictionary->feature_count()));
  message.set_output_hook_point(dictionary.output_hook_point);
  message.set_is_transcoder(dictionary.is_transcoder);
}

void ToMessage(const HeadArtifact& head, v1::Head& message) {
  const HeadDescription& description = head.head->description();
  message.set_name(head.name);
  message.set_digest(head.digest);
  message.set_model_digest(description.model_digest);
  message.set_model(head.model);
  message.set_kind(KindOf(head.head->decoder()));
  message.set_n_slots(static_cast<int32_t>(description.n_slots));
  for (const PredictedTarget& target : description.targets) {
    v1::PredictedTarget& entry = *message.add_targets();
    entry.set_name(target.name);
    for (const std::string& name : target.classes) entry.add_classes(name);
  }
}

void ToMessage(const CorpusArtifact& corpus, v1::Corpus& message) {
  const CorpusManifest& manifest = corpus.corpus->manifest();
  message.set_name(corpus.name);
  message.set_digest(corpus.digest);
  message.set_person_count(manifest.person_count);
  message.set_token_count(manifest.token_count);
  message.set_event_count(manifest.event_count);
  message.set_vocabulary_size(corpus.corpus->vocabulary().size());
  message.set_reference_date(manifest.reference_date.ToString());
  message.set_train_person_count(manifest.split_person_counts[0]);
  message.set_validation_person_count(manifest.split_person_counts[1]);
  message.set_test_person_count(manifest.split_person_counts[2]);
}

void ToMessage(const RunSummaryRecord& record, v1::RunSummary& message) {
  message.set_run_id(record.run_id);
  message.set_request_id(record.request_id);
  message.set_kind(static_cast<v1::RunKind>(record.kind));
  message.set_model(record.model);
  message.mutable_provenance()->ParseFromString(record.provenance);
  message.set_request_bytes(record.request_bytes);
  message.set_result_bytes(record.result_bytes);
}

void ToMessage(const FeatureIndexRecord& record, v1::FeatureIndex& message) {
  message.set_index_id(record.index_id);
  message.set_model_digest(record.model_digest);
  message.set_dictionary_digest(record.dictionary_digest);
  message.set_corpus_digest(record.corpus_digest);
  message.set_token_count(record.token_count);
  message.set_person_count(record.person_count);
  message.set_n_slots(static_cast<int32_t>(record.n_slots));
  message.set_examples_per_feature(static_cast<int32_t>(record.examples_per_feature));
  ToMessage(record.created_at, *message.mutable_created_at());
}

void ToMessage(const FeatureRecord& record, const FeatureIndexRecord& index, v1::Feature& message) {
  message.set_feature(static_cast<int32_t>(record.feature));
  message.set_max_activation(record.max_activation);
  if (record.active_token_count > 0) {
    message.set_mean_activation(record.activation_sum / static_cast<double>(record.active_token_count));
  }
  message.set_token_density(Share(record.active_token_count, index.token_count));
  message.set_person_density(Share(record.active_person_count, index.person_count));
  message.set_active_token_count(record.active_token_count);
  message.set_active_person_count(record.active_person_count);
  message.mutable_histogram()->Assign(record.histogram.begin(), record.histogram.end());
  ToMessage(index, *message.mutable_index());
}

void ToMessage(const ExampleRecord& record, v1::Example& message) {
  message.set_rank(record.rank);
  message.set_person_id(record.person_id);
  message.set_position(record.position);
  message.set_activation(record.activation);
}

void ToMessage(absl::Time time, google::protobuf::Timestamp& message) {
  const int64_t seconds = absl::ToUnixSeconds(time);
  message.set_seconds(seconds);
  message.set_nanos(static_cast<int32_t>(absl::ToInt64Nanoseconds(time - absl::FromUnixSeconds(seconds))));
}

}  // namespace lifescope
