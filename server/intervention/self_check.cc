#include "server/intervention/self_check.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <c10/util/Exception.h>

#include <cmath>
#include <map>
#include <utility>

#include "server/intervention/engine.h"
#include "server/model/padded_reference.h"

namespace lifescope {
namespace {

double Largest(const at::Tensor& values) { return values.to(at::kDouble).abs().max().item<double>(); }

void Compare(const at::Tensor& actual, const at::Tensor& expected, Invariant* invariant) {
  const double difference = Largest(actual - expected), scale = Largest(expected);
  const double deviation = invariant->allowance > 0 && scale > 0 ? difference / scale : difference;
  // Once it is NaN it stays NaN.
  if (!(deviation <= invariant->deviation) && !std::isnan(invariant->deviation)) invariant->deviation = deviation;
}

int64_t AddRead(ReadKind kind, Run* run) {
  run->reads.push_back({"", std::move(kind), {}, {}});
  return static_cast<int64_t>(run->reads.size()) - 1;
}

void AddIntervention(std::vector<Edit> edits, Run* run) { run->interventions.push_back({"", std::move(edits)}); }

// The edit of all positions of these documents; none: of all.
Edit EditOf(EditTarget target, EditMode mode, std::vector<int64_t> documents = {}) {
  Edit edit;
  edit.target = std::move(target);
  edit.mode = std::move(mode);
  edit.documents = std::move(documents);
  return edit;
}

// Every read here covers every document.
const at::Tensor& TensorOf(const DocumentResult& document, int64_t read) {
  return std::get<at::Tensor>(document.values[read].value);
}

// The strongest activation of a document; 0 at the first feature and position where none is active.
struct StrongestFeature {
  int64_t position = 0;
  int64_t feature = 0;
  double value = 0;

  explicit StrongestFeature(const FeatureValue& features) {
    const SparseActivations& active = features.activations;
    if (active.values.numel() == 0) return;
    const at::Tensor index = active.values.argmax();
    feature = active.features[index.item<int64_t>()].item<int64_t>();
    value = active.values[index.item<int64_t>()].item<double>();
    position = features.positions[active.row_offsets.le(index).sum().item<int64_t>() - 1];
  }
};

class SelfChecker {
 public:
  SelfChecker(const std::vector<Document>& documents, const std::vector<RunDictionary>& dictionaries, int64_t n_slots,
              const Transformer& model, const ExecuteOptions& options)
      : model_(model),
        options_(options),
        hyperparameters_(model.hyperparameters()),
        final_{Site::kResidPost, hyperparameters_.n_encoders - 1},
        rounding_(model.dtype() == at::kDouble ? 1e-12 : 2e-5) {
    run_.documents = documents;
    run_.dictionaries = dictionaries;
    run_.n_slots = n_slots;
    run_.deterministic = true;
  }

  std::vector<Invariant> Check() {
    TORCH_CHECK_VALUE(run_.documents.size() >= 2, "documents: ", run_.documents.size(),
                      ", expected at least 2, one to be patched with another");
    CheckLayers();
    CheckPacking();
    CheckEmptyEdits();
    CheckHeads();
    for (size_t d = 0; d < run_.dictionaries.size(); ++d) {
      if (!run_.dictionaries[d].is_transcoder) CheckFeature(static_cast<int64_t>(d));
    }
    CheckPatches();
    return std::move(invariants_);
  }

 private:
  // One document at a time: attention weights grow with the square of its length.
  void CheckLayers() {
    Invariant local = {"attention weights . v = z, local heads", 0, rounding_};
    Invariant global = {"attention weights . v = z, global heads", 0, rounding_};
    Invariant mid = {"resid_pre + attn_contrib = resid_mid", 0, rounding_};
    Invariant post = {"resid_mid + mlp_contrib = resid_post", 0, rounding_};
    for (int64_t layer = 0; layer < hyperparameters_.n_encoders; ++layer) {
      for (const Document& document : run_.documents) {
        Run run = run_;
        run.documents = {document};
        const auto read = [&](Site site) { return AddRead(ActivationRead{{site, layer}}, &run); };
        for (int64_t head = 0; head < hyperparameters_.n_heads; ++head) AddRead(AttentionRead{layer, head}, &run);
        const int64_t v = read(Site::kV), z = read(Site::kZ), pre = read(Site::kResidPre);
        const int64_t attention = read(Site::kAttnContrib), resid_mid = read(Site::kResidMid);
        const int64_t mlp = read(Site::kMlpContrib), resid_post = read(Site::kResidPost);
        const DocumentResult result = Execute(run, model_, options_).clean[0];
        for (int64_t head = 0; head < hyperparameters_.n_heads; ++head) {
          const at::Tensor weights = TensorOf(result, head).narrow(1, 0, document.length());
          Compare(at::matmul(weights, TensorOf(result, v).select(1, head)), TensorOf(result, z).select(1, head),
                  head < hyperparameters_.n_global() ? &global : &local);
        }
        Compare(TensorOf(result, pre) + TensorOf(result, attention), TensorOf(result, resid_mid), &mid);
        Compare(TensorOf(result, resid_mid) + TensorOf(result, mlp), TensorOf(result, resid_post), &post);
      }
    }
    if (hyperparameters_.n_local > 0) invariants_.push_back(local);
    if (hyperparameters_.n_global() > 0) invariants_.push_back(global);
    invariants_.push_back(mid);
    invariants_.push_back(post);
  }

  void CheckPacking() {
    Invariant packed = {"packed = padded", 0, rounding_};
    std::map<std::string, at::Tensor> state = ToStateDict(model_.weights(), hyperparameters_);
    for (auto& [name, tensor] : state) tensor = tensor.to(at::kCPU);
    const PaddedReference reference(std::move(state), hyperparameters_);
    Run run = run_;
    run.deterministic = false;
    AddRead(ActivationRead{final_}, &run);
    const RunResult result = Execute(run, model_, options_);
    for (size_t i = 0; i < run.documents.size(); ++i) {
      const Document& d = run.documents[i];
      const PaddedBatch batch = PadBatch(MakePackedBatch(
          {{d.token.data(), d.abspos.data(), d.age.data(), d.segment.data(), d.length(), result.n_slots}}, at::kCPU));
      Compare(TensorOf(result.clean[i], 0), RealRows(reference.Forward(batch), batch.mask), &packed);
    }
    invariants_.push_back(packed);
  }

  void CheckEmptyEdits() {
    Invariant identity = {"edits of nothing change nothing", 0, 0};
    Run run = run_;
    AddRead(ActivationRead{final_}, &run);
    AddIntervention({EditOf(ActivationTarget{{Site::kEmbed}}, Scale{1})}, &run);
    for (int64_t layer = 0; layer < hyperparameters_.n_encoders; ++layer) {
      AddIntervention({EditOf(ActivationTarget{{Site::kResidPost, layer}}, Scale{1})}, &run);
    }
    for (size_t d = 0; d < run.dictionaries.size(); ++d) {
      if (run.dictionaries[d].is_transcoder) continue;
      AddIntervention({EditOf(FeatureTarget{static_cast<int64_t>(d), {0}}, Scale{1})}, &run);
    }
    const RunResult result = Execute(run, model_, options_);
    for (const InterventionResult& edited : result.interventions) {
      for (size_t d = 0; d < run.documents.size(); ++d) {
        Compare(TensorOf(edited.documents[d], 0), TensorOf(result.clean[d], 0), &identity);
      }
    }
    invariants_.push_back(identity);
  }

  void CheckHeads() {
    Invariant heads = {"a head zeroed at hook_z takes its write away", 0, rounding_};
    const int64_t head_dim = hyperparameters_.head_dim();
    for (int64_t layer = 0; layer < hyperparameters_.n_encoders; ++layer) {
      Run run = run_;
      const int64_t z = AddRead(ActivationRead{{Site::kZ, layer}}, &run);
      const int64_t contribution = AddRead(ActivationRead{{Site::kAttnContrib, layer}}, &run);
      for (int64_t head = 0; head < hyperparameters_.n_heads; ++head) {
        AddIntervention({EditOf(HeadTarget{layer, head}, Zero{})}, &run);
      }
      const RunResult result = Execute(run, model_, options_);
      const BlockWeights& w = model_.weights().blocks[layer];
      const at::Tensor w_o = (w.gate_attention * w.w_o).to(at::kCPU);
      for (int64_t head = 0; head < hyperparameters_.n_heads; ++head) {
        const at::Tensor w_head = w_o.narrow(1, head * head_dim, head_dim).t();
        for (size_t d = 0; d < run.documents.size(); ++d) {
          const at::Tensor write = at::matmul(TensorOf(result.clean[d], z).select(1, head), w_head);
          Compare(TensorOf(result.interventions[head].documents[d], contribution),
                  TensorOf(result.clean[d], contribution) - write, &heads);
        }
      }
    }
    invariants_.push_back(heads);
  }

  void CheckFeature(int64_t dictionary) {
    const auto& [sae, point, is_transcoder] = run_.dictionaries[dictionary];
    Invariant feature = {"one feature of dictionaries[" + std::to_string(dictionary) + "] = its decoder row", 0,
                         rounding_};
    Run run = run_;
    const int64_t active = AddRead(FeatureRead{dictionary}, &run);
    const int64_t x = AddRead(ActivationRead{point}, &run);
    const RunResult clean = Execute(run, model_, options_);
    std::vector<Edit> edits;
    std::vector<at::Tensor> expected;
    for (int64_t d = 0; d < static_cast<int64_t>(run.documents.size()); ++d) {
      const StrongestFeature strongest(std::get<FeatureValue>(clean.clean[d].values[active].value));
      const double value = 2 * strongest.value + 1;
      edits.push_back(EditOf(FeatureTarget{dictionary, {strongest.feature}}, SetTo{{value}}, {d}));
      edits.back().positions.indices = {strongest.position};
      expected.push_back(TensorOf(clean.clean[d], x).clone());
      const at::Tensor row = expected.back().narrow(0, strongest.position, 1);
      const at::Tensor read = row.flatten(1).to(model_.device());
      const at::Tensor before = sae->Encode(read), after = before.clone();
      after.select(1, strongest.feature).fill_(value);
      row.add_((sae->Decode(after, read) - sae->Decode(before, read)).to(at::kCPU).view(row.sizes()));
    }
    AddIntervention(std::move(edits), &run);
    const RunResult edited = Execute(run, model_, options_);
    for (size_t d = 0; d < run.documents.size(); ++d) {
      Compare(TensorOf(edited.interventions[0].documents[d], x), expected[d], &feature);
    }
    invariants_.push_back(feature);
  }

  void CheckPatches() {
    Invariant clean = {"documents[0] patched with itself = 1", 0, 0};
    Invariant corrupted = {"documents[1] patched with itself = 0", 0, 0};
    Run run = run_;
    run.documents.resize(2);
    AddRead(ActivationRead{final_}, &run);
    for (int64_t layer = 0; layer < hyperparameters_.n_encoders; ++layer) {
      const ActivationTarget target = {{Site::kResidPost, layer}};
      AddIntervention({EditOf(target, Donor{0, {}}, {0}), EditOf(target, Donor{1, {}}, {1})}, &run);
    }
    const RunResult result = Execute(run, model_, options_);
    const auto cls = [](const DocumentResult& document) { return TensorOf(document, 0)[0].to(at::kDouble); };
    const at::Tensor at_clean = cls(result.clean[0]), at_corrupted = cls(result.clean[1]);
    const int64_t channel = (at_clean - at_corrupted).abs().argmax().item<int64_t>();
    const at::Tensor whole = (at_clean - at_corrupted)[channel];
    TORCH_CHECK_VALUE(whole.item<double>() != 0,
                      "documents[1]: its [CLS] is as that of documents[0], expected another document");
    const auto effect = [&](const DocumentResult& patched) { return (cls(patched) - at_corrupted)[channel] / whole; };
    for (const InterventionResult& patched : result.interventions) {
      Compare(effect(patched.documents[0]), at::ones_like(whole), &clean);
      Compare(effect(patched.documents[1]), at::zeros_like(whole), &corrupted);
    }
    invariants_.push_back(clean);
    invariants_.push_back(corrupted);
  }

  const Transformer& model_;
  const ExecuteOptions& options_;
  const Hyperparameters& hyperparameters_;
  const HookPoint final_;
  const double rounding_;
  Run run_;  // without reads
  std::vector<Invariant> invariants_;
};

}  // namespace

std::vector<Invariant> SelfCheck(const std::vector<Document>& documents, const std::vector<RunDictionary>& dictionaries,
                                 int64_t n_slots, const Transformer& model, const ExecuteOptions& options) {
  const c10::NoGradGuard no_grad;
  return SelfChecker(documents, dictionaries, n_slots, model, options).Check();
}

}  // namespace lifescope
