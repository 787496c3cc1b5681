#include "tests/app/tiny_home.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "absl/time/clock.h"
#include "server/artifact/artifact.h"
#include "server/artifact/safetensors.h"
#include "server/corpus/world.h"
#include "server/model/classifier_head.h"
#include "server/model/weights.h"
#include "server/runtime/registry.h"
#include "tests/support/golden.h"

namespace lifescope {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kPersons = 50, kHidden = 16;

Hyperparameters SmallHyperparameters(int64_t vocabulary_size) {
  Hyperparameters h;
  h.hidden_size = kHidden;
  h.hidden_ff = 32;
  h.n_encoders = 2;
  h.n_heads = 4;
  h.n_local = 2;
  h.local_window_size = 8;
  h.num_random_features = 8;
  h.max_length = kTinyMaxLength;
  h.vocab_size = vocabulary_size;
  return h;
}

void WriteModel(const std::string& folder, const Vocabulary& vocabulary) {
  fs::create_directories(folder);
  const Hyperparameters h = SmallHyperparameters(vocabulary.size());
  WriteSafetensors(folder + "/model.safetensors", ToStateDict(InitializeWeights(h, 3, 1.0), h));
  WriteFileAtomically(folder + "/hparams.json", h.ToJson());
  WriteFileAtomically(folder + "/vocab.tsv", vocabulary.ToTsv());
}

void WriteDictionary(const std::string& folder) {
  fs::create_directories(folder);
  at::manual_seed(5);
  const at::Tensor directions = at::randn({kTinyFeatures, kHidden});
  WriteSafetensors(folder + "/sae_weights.safetensors", {{"W_enc", directions.t().contiguous()},
                                                         {"b_enc", at::zeros({kTinyFeatures})},
                                                         {"W_dec", directions / directions.norm(2, {1}, true)},
                                                         {"b_dec", at::zeros({kHidden})}});
  WriteFileAtomically(folder + "/cfg.json", std::string(R"({"d_sae": 24, "d_in": 16, "dtype": "float32",
      "device": "cpu", "apply_b_dec_to_input": true, "reshape_activations": "none", "normalize_activations": "none",
      "architecture": "standard", "metadata": {"model_name": "tiny", "hook_name": ")") +
                                                kTinyHook + "\"}}");
}

void WriteTinyHead(const std::string& folder, const std::string& model_digest) {
  HeadDescription description;
  description.model_digest = model_digest;
  description.n_slots = kTinyMaxLength;
  description.targets = {{"trait:illness=cardiac", {"not cardiac", "cardiac"}}};
  WriteHead(folder, ClassifierHead(description, InitializeDecoder("attention", DecoderShape{kHidden, 0, 0, 2}, 7)));
}

std::string MakeHome() {
  const std::string home = TemporaryFolder();
  WorldOptions world;
  world.person_count = kPersons;
  world.max_length = kTinyMaxLength;
  fs::create_directories(home + "/corpora");
  SynthesizeWorld(home + "/corpora/world", world);
  const auto corpus = Corpus::Open(home + "/corpora/world");
  WriteModel(home + "/models/tiny", corpus->vocabulary());
  WriteDictionary(home + "/dictionaries/tiny_sae");
  WriteTinyHead(home + "/heads/tiny_head", ModelDigest(home + "/models/tiny"));
  return home;
}

const Corpus& World() {
  static const std::shared_ptr<const Corpus> corpus = Corpus::Open(TinyHome() + "/corpora/world");
  return *corpus;
}

// Any two tokens of the vocabulary beyond the special ones.
std::string TokenA() { return World().vocabulary().token(kFirstContentToken + 1); }
std::string TokenB() { return World().vocabulary().token(kFirstContentToken + 2); }

}  // namespace

const std::string& TinyHome() {
  static const std::string home = MakeHome();
  return home;
}

std::string TinyHomeCopy() {
  const std::string copy = TemporaryFolder();
  fs::copy(TinyHome(), copy, fs::copy_options::recursive);
  return copy;
}

AppOptions TinyApp::SmallOptions() {
  AppOptions options;
  options.worker_count = 1;
  options.threads_per_worker = 1;
  options.max_queued_calls = 1;
  return options;
}

TinyApp::TinyApp(const AppOptions& options) : store_url("sqlite:" + TemporaryFolder() + "/lifescope.db") {
  auto store = OpenStore(store_url);
  if (!store.ok()) throw std::runtime_error(store.status().ToString());
  auto created = App::Create(options, Registry::Load(TinyHome(), at::kCPU), *std::move(store));
  if (!created.ok()) throw std::runtime_error(created.status().ToString());
  app = *std::move(created);
}

std::unique_ptr<Store> TinyApp::OpenStoreAgain() const {
  auto store = OpenStore(store_url);
  if (!store.ok()) throw std::runtime_error(store.status().ToString());
  return *std::move(store);
}

int64_t TinyApp::StoredRunCount() const {
  const auto runs = OpenStoreAgain()->ListRuns(0, {kMaxPageSize, ""});
  return runs.ok() ? static_cast<int64_t>(runs->items.size()) : -1;
}

std::string TinyApp::StoreFeatureIndex() const {
  const Registry registry = Registry::Load(TinyHome(), at::kCPU);
  FeatureIndexRecord index;
  index.index_id = "11111111-2222-4333-8444-555555555555";
  index.model_digest = registry.Model("").digest;
  index.dictionary_digest = registry.Dictionary("", "").digest;
  index.corpus_digest = registry.Corpus("").digest;
  index.token_count = World().manifest().token_count;
  index.person_count = World().size();
  index.n_slots = kTinyMaxLength;
  index.feature_count = kTinyFeatures;
  index.examples_per_feature = 3;
  index.created_at = absl::Now();
  std::vector<FeatureRecord> features;
  std::vector<ExampleRecord> examples;
  for (int feature = 0; feature < kTinyFeatures; ++feature) {
    features.push_back({feature, 10.0 + feature, 40.0, 8, 4, {5, 3}});
    for (int rank = 1; rank <= 3; ++rank) {
      // Somewhere after the background, so that the example belongs to an event.
      const auto position = static_cast<int32_t>(TinyPersonLength(rank) - 2);
      examples.push_back({feature, rank, TinyPersonId(rank), position, 10.0 + feature - rank});
    }
  }
  const absl::Status created = OpenStoreAgain()->CreateFeatureIndex(index, features, examples);
  if (!created.ok()) throw std::runtime_error(created.ToString());
  return index.index_id;
}

int64_t TinyPersonId(int64_t index) { return World().person_id(index); }
int64_t TinyPersonLength(int64_t index) { return World().length(index); }

v1::Document TinyPerson(int64_t index) {
  v1::Document document;
  document.mutable_person()->set_person_id(TinyPersonId(index));
  return document;
}

v1::RunRequest TinyRun() {
  v1::RunRequest request;
  v1::Run& run = *request.mutable_run();
  *run.add_documents() = TinyPerson(0);
  *run.add_documents() = TinyPerson(1);
  v1::Edit& edit = *run.add_interventions()->add_edits();
  edit.mutable_features()->add_features(3);
  edit.mutable_zero();
  v1::Read& resid = *run.add_reads();
  resid.mutable_activation()->set_hook_point("blocks.1.hook_resid_post");
  resid.mutable_positions()->set_cls(true);
  run.add_reads()->mutable_log_probability()->set_token(TokenA());
  return request;
}

v1::EncodeRequest TinyEncode() {
  v1::EncodeRequest request;
  *request.add_documents() = TinyPerson(0);
  return request;
}

v1::AblateFeaturesRequest TinyAblation() {
  v1::AblateFeaturesRequest request;
  *request.mutable_document() = TinyPerson(0);
  request.mutable_document()->add_mask_positions(4);
  request.add_features(3);
  request.add_features(7);
  return request;
}

v1::PatchActivationsRequest TinyPatch() {
  v1::PatchActivationsRequest request;
  *request.mutable_clean() = TinyPerson(0);
  *request.mutable_corrupted() = TinyPerson(1);
  request.set_direction(v1::PATCH_DIRECTION_DENOISING);
  v1::PatchTarget& target = *request.add_targets();
  target.mutable_activation()->set_hook_point(kTinyHook);
  target.mutable_positions()->add_indices(4);
  request.mutable_metric()->set_position(4);
  request.mutable_metric()->set_token_a(TokenA());
  request.mutable_metric()->set_token_b(TokenB());
  return request;
}

v1::RunRequest EndlessRun() {
  v1::RunRequest request;
  v1::Run& run = *request.mutable_run();
  for (int i = 0; i < kPersons; ++i) *run.add_documents() = TinyPerson(i);
  run.set_deterministic(true);
  for (int i = 0; i < 1300; ++i) {
    v1::Edit& edit = *run.add_interventions()->add_edits();
    edit.mutable_features()->add_features(i % kTinyFeatures);
    edit.mutable_zero();
  }
  v1::Read& read = *run.add_reads();
  read.mutable_log_probability()->set_token(TokenA());
  read.mutable_positions()->set_cls(true);
  return request;
}

}  // namespace lifescope
