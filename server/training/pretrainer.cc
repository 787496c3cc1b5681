#include "server/training/pretrainer.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <limits>
#include <map>
#include <numeric>
#include <string_view>
#include <utility>
#include <vector>

#include "server/artifact/artifact.h"
#include "server/artifact/safetensors.h"
#include "server/optimizer/adam.h"
#include "server/training/batch_gradient.h"
#include "server/training/one_cycle.h"
#include "server/training/pretrain_loss.h"

namespace lifescope {
namespace {

using Clock = std::chrono::steady_clock;

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
// Documents of one validation forward.
constexpr size_t kValidationBatch = 16;

double SecondsSince(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

std::vector<int64_t> DocumentsOf(const Corpus& corpus, Split split) {
  std::vector<int64_t> documents;
  for (int64_t i = 0; i < corpus.size(); ++i) {
    if (corpus.split(i) == split) documents.push_back(i);
  }
  return documents;
}

// Parameters whose state-dict name contains one of these do not decay (the published groups, substrings as there).
bool Decays(std::string_view name) {
  for (const char* part : {"bias", "norm", "age", "abspos", "token", "decoder.g"}) {
    if (name.find(part) != std::string_view::npos) return false;
  }
  return true;
}

Hyperparameters WithVocabulary(Hyperparameters hyperparameters, const Corpus& corpus) {
  hyperparameters.vocab_size = corpus.vocabulary().size();
  return hyperparameters;
}

void CheckOptions(const PretrainOptions& options, const Corpus& corpus) {
  TORCH_CHECK_VALUE(options.steps > 0, "steps: ", options.steps, ", expected at least 1");
  TORCH_CHECK_VALUE(options.batch_documents > 0, "batch: ", options.batch_documents, ", expected at least 1");
  TORCH_CHECK_VALUE(options.mask_ratio > 0 && options.mask_ratio < 1, "mask ratio: ", options.mask_ratio,
                    ", expected between 0 and 1");
  const int64_t longest = corpus.manifest().max_length;
  TORCH_CHECK_VALUE(options.hyperparameters.max_length >= longest, "max_length: ", options.hyperparameters.max_length,
                    ", expected at least the corpus's ", longest);
}

// One training run: weights, optimiser and the position in the corpus.
class PretrainRun {
 public:
  PretrainRun(const Corpus& corpus, const PretrainOptions& options)
      : corpus_(corpus),
        options_(options),
        hyperparameters_(WithVocabulary(options.hyperparameters, corpus)),
        n_slots_(options.n_slots > 0 ? options.n_slots : hyperparameters_.max_length),
        random_(options.seed),
        projection_random_(options.seed + 1),
        training_documents_(DocumentsOf(corpus, Split::kTrain)),
        weights_(InitializeWeights(hyperparameters_, options.seed, options.initial_gate)),
        cycle_{.total_steps = options.steps, .max_learning_rate = options.learning_rate} {
    TORCH_CHECK_VALUE(!training_documents_.empty(), "the corpus's training split is empty");
    at::manual_seed(options.seed);
    weights_.embedding.abspos.w.mul_(options.abspos_scale);
    parameters_ = TrainableTensors(weights_);
    random_.Shuffle(training_documents_);
    MakeValidation();
  }

  // One optimiser step; fills the losses and the token count.
  void Step(int64_t step, PretrainProgress& progress);
  double ValidationLoss() const;
  double UnigramLoss() const;
  // The folder's files; the caller makes the folder visible.
  void Write(const std::string& folder, const std::string& loss_csv) const;
  int64_t tokens_seen() const { return tokens_seen_; }
  double learning_rate(int64_t step) const { return OneCycle(cycle_, step).learning_rate; }

 private:
  void MakeValidation();
  std::vector<PretrainExample> NextExamples();
  void Update(int64_t step, std::vector<at::Tensor>& gradients);
  void RedrawProjections();
  Transformer Model() const { return Transformer(hyperparameters_, weights_); }

  const Corpus& corpus_;
  const PretrainOptions options_;
  const Hyperparameters hyperparameters_;
  const int64_t n_slots_;
  Random random_, projection_random_;
  std::vector<int64_t> training_documents_;  // in this epoch's order
  size_t next_document_ = 0;
  int64_t tokens_seen_ = 0;
  Weights weights_;
  std::vector<std::pair<std::string, at::Tensor*>> parameters_;  // into weights_
  std::map<std::string, AdamState> adam_;
  OneCycleOptions cycle_;
  std::vector<PretrainBatch> validation_;
};

void PretrainRun::MakeValidation() {
  std::vector<int64_t> documents = DocumentsOf(corpus_, Split::kValidation);
  if (documents.empty()) documents = training_documents_;
  documents.resize(
      std::min(documents.size(), static_cast<size_t>(std::max<int64_t>(1, options_.validation_documents))));
  Random random(options_.seed + 2);
  std::vector<PretrainExample> examples;
  for (size_t i = 0; i < documents.size(); ++i) {
    PretrainExample example{corpus_.DocumentAt(documents[i]), {}, SentenceOrder::kOriginal};
    example.targets = MaskTokens(options_.mask_ratio, corpus_.vocabulary().size(), example.document, random);
    examples.push_back(std::move(example));
    if (examples.size() == kValidationBatch || i + 1 == documents.size()) {
      validation_.push_back(PackExamples(examples, n_slots_, at::kCPU));
      examples.clear();
    }
  }
}

std::vector<PretrainExample> PretrainRun::NextExamples() {
  std::vector<PretrainExample> examples;
  for (int64_t i = 0; i < options_.batch_documents; ++i) {
    if (next_document_ == training_documents_.size()) {
      random_.Shuffle(training_documents_);
      next_document_ = 0;
    }
    PretrainExample example{corpus_.DocumentAt(training_documents_[next_document_++]), {}, DrawSentenceOrder(random_)};
    ReorderSentences(example.order, example.document, random_);
    example.targets = MaskTokens(options_.mask_ratio, corpus_.vocabulary().size(), example.document, random_);
    examples.push_back(std::move(example));
  }
  return examples;
}

void PretrainRun::Step(int64_t step, PretrainProgress& progress) {
  // Before the step: the weights that are validated and kept have been trained with their projections.
  if (options_.redraw_interval > 0 && step > 0 && step % options_.redraw_interval == 0) RedrawProjections();
  BatchGradient batch = ComputeBatchGradient(
      hyperparameters_, weights_, NextExamples(),
      {options_.mlm_weight, options_.sop_weight, options_.label_smoothing, n_slots_, options_.threads});
  tokens_seen_ += batch.token_count;
  progress.loss = batch.loss;
  progress.mlm_loss = batch.mlm;
  progress.sop_loss = batch.sop;
  TORCH_CHECK_VALUE(std::isfinite(progress.loss), "the loss of step ", step + 1, " is ", progress.loss,
                    ": the learning rate ", options_.learning_rate, " is too high for this model");
  Update(step, batch.gradients);
}

void PretrainRun::Update(int64_t step, std::vector<at::Tensor>& gradients) {
  ClipGradientNorm(gradients, options_.gradient_clip);
  const OneCyclePoint point = OneCycle(cycle_, step);
  for (size_t i = 0; i < parameters_.size(); ++i) {
    const auto& [name, tensor] = parameters_[i];
    if (!gradients[i].defined()) continue;
    AdamOptions adam;
    adam.learning_rate = point.learning_rate;
    adam.beta1 = point.beta1;
    adam.epsilon = hyperparameters_.epsilon;
    adam.weight_decay = Decays(name) ? options_.weight_decay : 0;
    AdamStep(adam, gradients[i], *tensor, adam_[name]);
  }
}

void PretrainRun::RedrawProjections() {
  for (BlockWeights& block : weights_.blocks) {
    block.projection = DrawProjection(hyperparameters_.num_random_features, hyperparameters_.head_dim(),
                                      projection_random_.NextBits());
  }
}

double PretrainRun::ValidationLoss() const {
  c10::NoGradGuard no_grad;
  const Transformer model = Model();
  double sum = 0;
  int64_t count = 0;
  for (const PretrainBatch& batch : validation_) {
    const int64_t targets = batch.target_tokens.size(0);
    if (targets == 0) continue;
    const at::Tensor residual = model.Forward(batch.documents);
    const at::Tensor logits = model.MlmLogits(residual.index_select(0, batch.target_rows));
    sum += MlmLoss(logits, batch.target_tokens).item<double>() * static_cast<double>(targets);
    count += targets;
  }
  return sum / static_cast<double>(count);
}

double PretrainRun::UnigramLoss() const {
  // Add-one smoothing: a token of the validation split may be missing from the training split.
  std::vector<double> counts(corpus_.vocabulary().size(), 1);
  for (const int64_t index : training_documents_) {
    const Document document = corpus_.DocumentAt(index);
    for (int64_t i = 0; i < document.length(); ++i) {
      if (IsMaskable(document, i)) counts[document.token[i]] += 1;
    }
  }
  const double total = std::accumulate(counts.begin(), counts.end(), 0.0);
  double sum = 0;
  int64_t targets = 0;
  for (const PretrainBatch& batch : validation_) {
    const int64_t* tokens = batch.target_tokens.data_ptr<int64_t>();
    for (int64_t i = 0; i < batch.target_tokens.size(0); ++i, ++targets) sum -= std::log(counts[tokens[i]] / total);
  }
  return sum / static_cast<double>(targets);
}

void PretrainRun::Write(const std::string& folder, const std::string& loss_csv) const {
  WriteSafetensors(folder + "/model.safetensors", ToStateDict(weights_, hyperparameters_));
  WriteFileAtomically(folder + "/hparams.json", hyperparameters_.ToJson());
  WriteFileAtomically(folder + "/vocab.tsv", corpus_.vocabulary().ToTsv());
  WriteFileAtomically(folder + "/loss.csv", loss_csv);
}

// Writes into a hidden folder beside `folder`, which is then renamed.
void Publish(const PretrainRun& run, const std::string& folder, const std::string& loss_csv) {
  namespace fs = std::filesystem;
  const fs::path target = fs::absolute(folder);
  fs::path partial = target.parent_path() / ".";
  partial += target.filename();
  partial += ".partial";
  fs::remove_all(partial);
  fs::create_directories(partial);
  run.Write(partial.string(), loss_csv);
  std::error_code error;
  fs::rename(partial, target, error);
  TORCH_CHECK_VALUE(!error, folder, ": cannot make the model visible: ", error.message());
}

std::string LossLine(const PretrainProgress& progress, double learning_rate, bool validated) {
  char line[160];
  std::snprintf(line, sizeof(line), "%lld,%.6g,%.6f,%.6f,%.6f,", static_cast<long long>(progress.step), learning_rate,
                progress.loss, progress.mlm_loss, progress.sop_loss);
  std::string text = line;
  if (validated) text += std::to_string(progress.validation_mlm_loss);
  return text + "\n";
}

}  // namespace

PretrainResult Pretrain(const Corpus& corpus, const std::string& model_folder, const PretrainOptions& options,
                        const std::function<bool(const PretrainProgress&)>& on_progress) {
  CheckOptions(options, corpus);
  TORCH_CHECK_VALUE(!std::filesystem::exists(model_folder), model_folder, " exists: a model is never overwritten");
  const Clock::time_point start = Clock::now();
  PretrainRun run(corpus, options);
  PretrainProgress progress;
  progress.step_count = options.steps;
  progress.validation_mlm_loss = kNan;
  progress.unigram_loss = run.UnigramLoss();
  std::string loss_csv = "step,lr,loss_total,loss_mlm,loss_sop,val_mlm\n";
  for (int64_t step = 0; step < options.steps; ++step) {
    run.Step(step, progress);
    progress.step = step + 1;
    const bool validate = progress.step % options.validation_interval == 0 || progress.step == options.steps;
    if (validate) progress.validation_mlm_loss = run.ValidationLoss();
    progress.tokens_per_second = static_cast<double>(run.tokens_seen()) / SecondsSince(start);
    loss_csv += LossLine(progress, run.learning_rate(step), validate);
    if (on_progress && !on_progress(progress)) return {progress.validation_mlm_loss, progress.unigram_loss, -1};
  }
  Publish(run, model_folder, loss_csv);
  return {progress.validation_mlm_loss, progress.unigram_loss, SecondsSince(start)};
}

}  // namespace lifescope
