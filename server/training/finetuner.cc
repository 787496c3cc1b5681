#include "server/training/finetuner.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <limits>
#include <map>
#include <system_error>
#include <utility>

#include "server/artifact/artifact.h"
#include "server/artifact/safetensors.h"
#include "server/corpus/random.h"
#include "server/optimizer/adam.h"

namespace lifescope {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

// The persons of one split who have a class of at least one target.
struct Persons {
  std::vector<int64_t> indices;
  std::vector<int64_t> classes;  // [persons, targets]
};

// A packed batch of persons.
struct PersonBatch {
  PackedBatch documents;
  at::Tensor classes;  // INT64 [persons, targets]
};

class FinetuneRun {
 public:
  FinetuneRun(const Transformer& base, const Corpus& corpus, const std::vector<ClassTarget>& targets,
              const FinetuneOptions& options)
      : corpus_(corpus),
        targets_(targets),
        options_(options),
        hyperparameters_(base.hyperparameters()),
        n_slots_(options.n_slots > 0 ? options.n_slots : hyperparameters_.max_length),
        random_(options.seed),
        weights_(base.weights()),
        device_(base.device()) {
    for (const Split split : {Split::kTrain, Split::kValidation, Split::kTest}) Collect(split);
    description_.n_slots = n_slots_;
    description_.link = options.loss.loss == ClassificationLoss::kClassDistance ? Link::kSigSoftmax : Link::kSoftmax;
    description_.epsilon = hyperparameters_.epsilon;
    for (const ClassTarget& target : targets) description_.targets.push_back(target.target);
    at::manual_seed(options.seed);
    decoder_ = InitializeDecoder(options.kind, Shape(), options.seed);
    for (const auto& [name, tensor] : TrainableTensors(decoder_)) *tensor = tensor->to(device_, base.dtype());
    if (!options.freeze_trunk) weights_ = Cloned(weights_);
  }

  int64_t step_count() const {
    const auto persons = static_cast<int64_t>(Of(Split::kTrain).indices.size());
    return options_.epochs * ((persons + options_.batch_documents - 1) / options_.batch_documents);
  }

  // Trains one epoch; false when the caller stopped it.
  bool TrainEpoch(int64_t epoch, FinetuneProgress& progress,
                  const std::function<bool(const FinetuneProgress&)>& on_progress);
  PersonPredictions Predict(Split split) const;
  void Redraw() {
    RedrawProjections(
        hyperparameters_, [this] { return random_.NextBits(); }, weights_);
  }

  Decoder CopyOfDecoder() const { return Cloned(decoder_); }
  std::optional<Weights> CopyOfWeights() const {
    return options_.freeze_trunk ? std::nullopt : std::optional<Weights>(Cloned(weights_));
  }
  void Restore(const FinetuneResult& kept) {
    decoder_ = kept.decoder;
    if (kept.weights) weights_ = *kept.weights;
  }
  const HeadDescription& description() const { return description_; }

 private:
  static Decoder Cloned(Decoder decoder) {
    for (const auto& [name, tensor] : TrainableTensors(decoder)) *tensor = tensor->clone();
    return decoder;
  }
  // Projections are replaced and never written into, so their handles are enough.
  static Weights Cloned(Weights weights) {
    const bool tied = weights.mlm.decoder.is_same(weights.embedding.token);
    for (const auto& [name, tensor] : TrainableTensors(weights)) *tensor = tensor->clone();
    if (tied) weights.mlm.decoder = weights.embedding.token;
    return weights;
  }

  const Persons& Of(Split split) const { return persons_[static_cast<size_t>(split)]; }
  void Collect(Split split);
  DecoderShape Shape() const;
  PersonBatch Pack(Split split, const std::vector<size_t>& order, size_t begin, size_t count) const;
  // One optimiser step on a batch; its loss.
  double Step(const PersonBatch& batch, const FinetuneRates& rates);
  void Update(const std::vector<std::pair<std::string, at::Tensor*>>& parameters, std::vector<at::Tensor> gradients,
              const FinetuneRates& rates);

  const Corpus& corpus_;
  const std::vector<ClassTarget>& targets_;
  const FinetuneOptions& options_;
  const Hyperparameters hyperparameters_;
  const int64_t n_slots_;
  Random random_;
  Persons persons_[3];
  Weights weights_;
  const at::Device device_;
  HeadDescription description_;
  Decoder decoder_;
  std::map<std::string, AdamState> adam_;
};

void FinetuneRun::Collect(Split split) {
  Persons& persons = persons_[static_cast<size_t>(split)];
  for (int64_t person = 0; person < corpus_.size(); ++person) {
    if (corpus_.split(person) != split) continue;
    std::vector<int64_t> classes;
    for (const ClassTarget& target : targets_) classes.push_back(target.class_of(person));
    if (std::all_of(classes.begin(), classes.end(), [](int64_t c) { return c < 0; })) continue;
    persons.indices.push_back(person);
    persons.classes.insert(persons.classes.end(), classes.begin(), classes.end());
  }
  constexpr const char* kNames[] = {"training", "validation", "test"};
  for (size_t t = 0; t < targets_.size(); ++t) {
    bool has_class = false;
    for (size_t i = t; i < persons.classes.size(); i += targets_.size()) has_class |= persons.classes[i] >= 0;
    TORCH_CHECK_VALUE(has_class, "target '", targets_[t].target.name, "': nobody of the corpus' ",
                      kNames[static_cast<size_t>(split)], " split has a class");
  }
}

DecoderShape FinetuneRun::Shape() const {
  DecoderShape shape;
  shape.hidden_size = hyperparameters_.hidden_size;
  shape.hidden_ff = hyperparameters_.hidden_ff;
  shape.context_count = options_.context_count;
  shape.output_count = static_cast<int64_t>(targets_.size() * description_.targets.front().classes.size());
  return shape;
}

PersonBatch FinetuneRun::Pack(Split split, const std::vector<size_t>& order, size_t begin, size_t count) const {
  const Persons& persons = Of(split);
  std::vector<Document> documents;
  std::vector<int64_t> classes;
  for (size_t i = begin; i < std::min(begin + count, order.size()); ++i) {
    documents.push_back(corpus_.DocumentAt(persons.indices[order[i]]));
    const auto row = persons.classes.begin() + static_cast<int64_t>(order[i] * targets_.size());
    classes.insert(classes.end(), row, row + static_cast<int64_t>(targets_.size()));
  }
  std::vector<DocumentRows> rows;
  for (const Document& d : documents) {
    rows.push_back({d.token.data(), d.abspos.data(), d.age.data(), d.segment.data(), d.length(), n_slots_});
  }
  const at::Tensor table = at::tensor(classes, at::kLong).view({-1, static_cast<int64_t>(targets_.size())});
  return {MakePackedBatch(rows, device_), table.to(device_)};
}

double FinetuneRun::Step(const PersonBatch& batch, const FinetuneRates& rates) {
  // Leaves of this step's own graph, on the common storage.
  Decoder decoder = decoder_;
  std::vector<std::pair<std::string, at::Tensor*>> parameters = TrainableTensors(decoder);
  Weights weights = weights_;
  if (!options_.freeze_trunk) {
    const auto trunk = TrainableTensors(weights);
    parameters.insert(parameters.end(), trunk.begin(), trunk.end());
  }
  for (const auto& [name, tensor] : parameters) *tensor = tensor->detach().requires_grad_(true);

  // A frozen trunk runs as in evaluation, and none of its tensors asks for a gradient.
  const Dropout dropout{hyperparameters_.emb_dropout, hyperparameters_.fw_dropout, hyperparameters_.att_dropout,
                        hyperparameters_.dc_dropout};
  ForwardOptions forward;
  if (!options_.freeze_trunk) forward.dropout = &dropout;
  const at::Tensor final = Transformer(hyperparameters_, weights).Forward(batch.documents, forward);
  DecoderOptions decode;
  decode.dropout = options_.dropout;
  const at::Tensor logits = ClassifierHead(description_, decoder).Logits(final, batch.documents.offsets, decode);
  const at::Tensor loss = ClassificationLossOf(logits, batch.classes, options_.loss);
  const double value = loss.item<double>();
  TORCH_CHECK_VALUE(std::isfinite(value), "the loss is ", value, ": the learning rate ", options_.rates.decoder,
                    " is too high for this head");
  loss.backward();
  std::vector<at::Tensor> gradients;
  for (const auto& [name, tensor] : parameters) gradients.push_back(tensor->grad());
  Update(parameters, std::move(gradients), rates);
  return value;
}

void FinetuneRun::Update(const std::vector<std::pair<std::string, at::Tensor*>>& parameters,
                         std::vector<at::Tensor> gradients, const FinetuneRates& rates) {
  for (size_t i = 0; i < parameters.size(); ++i) {
    if (options_.freeze_tokens && IsTokenMatrix(parameters[i].first)) FreezeTokens(gradients[i]);
  }
  ClipGradientNorm(gradients, options_.gradient_clip);
  for (size_t i = 0; i < parameters.size(); ++i) {
    const auto& [name, tensor] = parameters[i];
    if (!gradients[i].defined()) continue;
    const ParameterGroup group = GroupOf(name, hyperparameters_.n_encoders, rates);
    AdamOptions adam;
    adam.learning_rate = group.learning_rate;
    adam.epsilon = hyperparameters_.epsilon;
    adam.weight_decay = group.weight_decay;
    AdamStep(adam, gradients[i], *tensor, adam_[name]);
  }
}

bool FinetuneRun::TrainEpoch(int64_t epoch, FinetuneProgress& progress,
                             const std::function<bool(const FinetuneProgress&)>& on_progress) {
  std::vector<size_t> order(Of(Split::kTrain).indices.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  random_.Shuffle(order);
  progress.epoch = epoch;
  FinetuneRates rates = options_.rates;
  rates.decoder *= std::pow(options_.epoch_decay, static_cast<double>(epoch - 1));
  const auto size = static_cast<size_t>(options_.batch_documents);
  for (size_t begin = 0; begin < order.size(); begin += size) {
    progress.loss = Step(Pack(Split::kTrain, order, begin, size), rates);
    ++progress.step;
    if (on_progress && !on_progress(progress)) return false;
  }
  return true;
}

PersonPredictions FinetuneRun::Predict(Split split) const {
  const c10::NoGradGuard no_grad;
  const Persons& persons = Of(split);
  std::vector<size_t> order(persons.indices.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  const Transformer trained(hyperparameters_, weights_);
  const ClassifierHead head(description_, decoder_);
  std::vector<at::Tensor> probabilities, classes;
  const auto size = static_cast<size_t>(options_.batch_documents);
  for (size_t begin = 0; begin < order.size(); begin += size) {
    const PersonBatch batch = Pack(split, order, begin, size);
    const at::Tensor logits = head.Logits(trained.Forward(batch.documents), batch.documents.offsets);
    probabilities.push_back(head.Probabilities(logits.to(at::kCPU, at::kDouble)));
    classes.push_back(batch.classes.cpu());
  }
  return {persons.indices, at::cat(probabilities), at::cat(classes)};
}

void CheckOptions(const Corpus& corpus, const std::vector<ClassTarget>& targets, const FinetuneOptions& options,
                  const Hyperparameters& hyperparameters) {
  TORCH_CHECK_VALUE(!targets.empty(), "targets: none, expected at least one");
  TORCH_CHECK_VALUE(options.epochs > 0 && options.patience > 0, "epochs ", options.epochs, ", patience ",
                    options.patience, ", expected at least 1");
  TORCH_CHECK_VALUE(options.batch_documents > 0, "batch: ", options.batch_documents, ", expected at least 1");
  TORCH_CHECK_VALUE(options.context_count > 0, "contexts: ", options.context_count, ", expected at least 1");
  TORCH_CHECK_VALUE(0 <= options.n_slots && options.n_slots <= hyperparameters.max_length, "n_slots: ", options.n_slots,
                    ", expected 0 (the model's max_length) to ", hyperparameters.max_length);
  const size_t classes = targets.front().target.classes.size();
  for (const ClassTarget& target : targets) {
    TORCH_CHECK_VALUE(target.target.classes.size() == classes, "target '", target.target.name, "' has ",
                      target.target.classes.size(), " classes, expected ", classes, " as '",
                      targets.front().target.name, "'");
  }
  TORCH_CHECK_VALUE(options.loss.loss != ClassificationLoss::kAsymmetric || classes == 2,
                    "the asymmetric loss is for two classes, '", targets.front().target.name, "' has ", classes);
  const int64_t slots = options.n_slots == 0 ? hyperparameters.max_length : options.n_slots;
  TORCH_CHECK_VALUE(slots >= corpus.manifest().max_length, "n_slots: ", slots, ", expected at least the corpus's ",
                    corpus.manifest().max_length);
}

void WriteModel(const std::string& folder, const Hyperparameters& hyperparameters, const Weights& weights,
                const std::string& vocabulary_tsv) {
  WriteFolderAtomically(folder, [&](const std::string& partial) {
    WriteSafetensors(partial + "/model.safetensors", ToStateDict(weights, hyperparameters));
    WriteFileAtomically(partial + "/hparams.json", hyperparameters.ToJson());
    WriteFileAtomically(partial + "/vocab.tsv", vocabulary_tsv);
  });
}

}  // namespace

std::optional<FinetuneResult> Finetune(const Transformer& base, const Corpus& corpus,
                                       const std::vector<ClassTarget>& targets, const FinetuneOptions& options,
                                       const ValidationScore& score,
                                       const std::function<bool(const FinetuneProgress&)>& on_progress) {
  CheckOptions(corpus, targets, options, base.hyperparameters());
  FinetuneRun run(base, corpus, targets, options);
  FinetuneProgress progress;
  progress.step_count = run.step_count();
  progress.validation_score = kNan;
  FinetuneResult kept;
  kept.description = run.description();
  for (int64_t epoch = 1; epoch <= options.epochs && epoch - kept.best_epoch <= options.patience; ++epoch) {
    if (!run.TrainEpoch(epoch, progress, on_progress)) return std::nullopt;
    progress.validation_score = score(run.Predict(Split::kValidation));
    TORCH_CHECK_VALUE(!std::isnan(progress.validation_score), "the validation score of epoch ", epoch,
                      " is not a number: does every class occur in the validation split?");
    if (kept.best_epoch == 0 || progress.validation_score > kept.validation_score) {
      kept.decoder = run.CopyOfDecoder();
      kept.weights = run.CopyOfWeights();
      kept.best_epoch = epoch;
      kept.validation_score = progress.validation_score;
    }
    if (!options.freeze_trunk && options.redraw_projections) run.Redraw();
  }
  run.Restore(kept);
  kept.test = run.Predict(Split::kTest);
  return kept;
}

void WriteFinetuned(const FinetuneResult& result, const Transformer& base, const std::string& base_digest,
                    const std::string& vocabulary_tsv, const std::string& model_folder,
                    const std::string& head_folder) {
  HeadDescription description = result.description;
  description.model_digest = base_digest;
  if (result.weights) WriteModel(model_folder, base.hyperparameters(), *result.weights, vocabulary_tsv);
  try {
    if (result.weights) description.model_digest = ModelDigest(model_folder);
    WriteHead(head_folder, ClassifierHead(std::move(description), result.decoder));
  } catch (...) {
    // A trunk without its head would only stand in the way of the next try.
    std::error_code ignored;
    if (result.weights) std::filesystem::remove_all(model_folder, ignored);
    throw;
  }
}

}  // namespace lifescope
