// Every activation of every golden batch against the published implementation, on real tokens.
#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <c10/util/StringUtil.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "server/artifact/artifact.h"
#include "tests/model/golden_batch.h"
#include "tests/support/golden.h"

namespace lifescope {
namespace {

struct Case {
  std::string model, batch;
  at::ScalarType dtype;

  std::string File(const std::string& suffix) const {
    return "life2vec/" + model + "/" + batch + "." + suffix + ".safetensors";
  }
};

// gtest prints the parameter with this.
void PrintTo(const Case& c, std::ostream* out) { *out << c.File(GoldenSuffix(c.dtype)); }

std::vector<Case> GoldenCases() {
  std::vector<Case> cases;
  for (const std::string& model : GoldenFolders("life2vec")) {
    const std::string index = "life2vec/" + model + "/index.json";
    if (!HasGolden(index)) continue;
    const nlohmann::json about = nlohmann::json::parse(ReadFile(GoldenPath(index)));
    for (const auto& batch : about["batches"]) {
      for (const at::ScalarType dtype : {at::kFloat, at::kDouble}) {
        const Case c{model, batch["batch"], dtype};
        if (HasGolden(c.File(GoldenSuffix(dtype)))) cases.push_back(c);
      }
    }
  }
  return cases;
}

const std::map<std::string, Site>& Sites() {
  static const std::map<std::string, Site> sites = {{"embed.token", Site::kEmbedToken},
                                                    {"embed.age_t2v", Site::kEmbedAge},
                                                    {"embed.abspos_t2v", Site::kEmbedAbspos},
                                                    {"embed.out", Site::kEmbed},
                                                    {"input", Site::kResidPre},
                                                    {"head_out", Site::kZ},
                                                    {"attn_out", Site::kAttnOut},
                                                    {"resid_mid", Site::kResidMid},
                                                    {"mlp_pre", Site::kMlpPre},
                                                    {"mlp_post", Site::kMlpPost},
                                                    {"mlp_out", Site::kMlpOut},
                                                    {"resid_post", Site::kResidPost},
                                                    {"favor_q", Site::kPhiQ},
                                                    {"favor_k", Site::kPhiK}};
  return sites;
}

// One golden tensor: "layers.2.mlp_post@pos" is kind "mlp_post" of layer 2 at some positions.
struct GoldenName {
  std::string full, base, kind;
  int64_t layer = -1;

  explicit GoldenName(const std::string& name) : full(name), base(name.substr(0, name.find("@pos"))), kind(base) {
    if (base.rfind("layers.", 0) == 0) {
      layer = base[7] - '0';
      kind = base.substr(9);
    }
  }
  bool IsSampled() const { return base != full; }
  bool HeadsFirst() const { return kind.rfind("favor", 0) == 0 || kind.rfind("pattern", 0) == 0; }
};

// One forward pass of a golden batch with everything captured that its file holds.
class GoldenRun {
 public:
  GoldenRun(const Case& c)
      : case_(c),
        model_(GoldenModel(c.model, c.dtype)),
        inputs_(SafetensorsFile::Open(GoldenPath(c.File("f32")))),
        expected_(SafetensorsFile::Open(GoldenPath(c.File(GoldenSuffix(c.dtype))))),
        batch_(PackGolden(inputs_.Read("input_ids"), inputs_.Read("padding_mask"))) {
    Hooks hooks;
    for (const std::string& name : expected_.names()) {
      const GoldenName golden(name);
      if (Sites().count(golden.kind) > 0) Capture(&hooks, {Sites().at(golden.kind), golden.layer});
      if (golden.kind == "pattern_global") {
        for (const Site site : {Site::kPhiQ, Site::kPhiK, Site::kKsum}) Capture(&hooks, {site, golden.layer});
      }
      if (golden.kind.rfind("pattern_local", 0) == 0) Capture(&hooks, {Site::kPatternLocal, golden.layer});
    }
    ForwardOptions options;
    options.hooks = &hooks;
    final_ = model_->Forward(batch_, options);
  }

  // Compares one golden tensor; false when it is not known what of the model it holds.
  bool Compare(const std::string& name) const {
    const GoldenName golden(name);
    if (golden.kind == "sop_logits") {
      const at::Tensor cls =
          final_.index_select(0, at::tensor(std::vector<int64_t>(batch_.offsets.begin(), batch_.offsets.end() - 1)));
      Expect(model_->SopLogits(cls), expected_.Read(name), golden, LogitTolerance(case_.dtype));
      return true;
    }
    if (golden.kind == "mlm_logits") {
      CompareRows(
          golden, [&](int64_t d) { return MlmRows(d); }, TargetIsReal());
      return true;
    }
    if (Sites().count(golden.kind) > 0) {
      CompareRows(
          golden, [&](int64_t d) { return SiteRows(golden, d); }, inputs_.Read("padding_mask"));
    } else if (golden.kind == "pattern_global") {
      CompareRows(
          golden, [&](int64_t d) { return GlobalPattern(golden.layer, d); }, inputs_.Read("padding_mask"));
    } else if (golden.kind == "pattern_local") {
      CompareRows(
          golden, [&](int64_t d) { return LocalPattern(golden.layer, d); }, inputs_.Read("padding_mask"));
    } else if (golden.kind == "pattern_local_outside") {
      CompareRows(
          golden, [&](int64_t d) { return 1 - LocalPattern(golden.layer, d).sum(-1); }, inputs_.Read("padding_mask"));
    } else {
      return false;
    }
    return true;
  }

  const std::vector<std::string>& names() const { return expected_.names(); }

 private:
  void Capture(Hooks* hooks, const HookPoint& point) {
    if (!hooks->Has(point)) hooks->Capture(point, &captured_[point.ToString()]);
  }
  const at::Tensor& Captured(Site site, int64_t layer) const { return captured_.at(HookPoint{site, layer}.ToString()); }
  at::Tensor RowsOf(const at::Tensor& packed, int64_t d) const {
    return packed.slice(0, batch_.offsets[d], batch_.offsets[d + 1]);
  }

  at::Tensor SiteRows(const GoldenName& golden, int64_t d) const {
    const at::Tensor rows = RowsOf(Captured(Sites().at(golden.kind), golden.layer), d);
    // The golden time vectors are before their gate.
    if (golden.kind == "embed.age_t2v") return rows / model_->weights().embedding.gate_age;
    if (golden.kind == "embed.abspos_t2v") return rows / model_->weights().embedding.gate_abspos;
    return rows;
  }

  at::Tensor TargetIsReal() const {
    const at::Tensor target = inputs_.Read("target_pos"), mask = inputs_.Read("padding_mask");
    return mask.gather(1, target);
  }

  at::Tensor MlmRows(int64_t d) const {
    const at::Tensor target = inputs_.Read("target_pos")[d].clamp_max(batch_.length(d) - 1);
    return model_->MlmLogits(RowsOf(final_, d).index_select(0, target));
  }

  // A_ij = phi(q_i) . phi(k_j) / phi(q_i) . ksum; what the real keys leave is shared evenly by the padded slots.
  at::Tensor GlobalPattern(int64_t layer, int64_t d) const {
    const at::Tensor q = RowsOf(Captured(Site::kPhiQ, layer), d), k = RowsOf(Captured(Site::kPhiK, layer), d);
    const at::Tensor sum = at::einsum("ngm,gm->ng", {q, Captured(Site::kKsum, layer)[d]}).unsqueeze(-1);
    const at::Tensor real = at::einsum("ngm,jgm->ngj", {q, k}) / sum;
    const int64_t padded = batch_.n_slots[d] - batch_.length(d);
    if (padded == 0) return real;
    const at::Tensor share = (1 - real.sum(-1, true)) / static_cast<double>(padded);
    return at::cat({real, share.expand({-1, -1, padded})}, -1);
  }

  // The window patterns of a document laid out at (query, key), [tokens, heads, slots].
  at::Tensor LocalPattern(int64_t layer, int64_t d) const {
    const int64_t w = model_->hyperparameters().local_window_size, length = batch_.length(d);
    int64_t window = 0;
    for (int64_t before = 0; before < d; ++before) window += (batch_.length(before) + w - 1) / w;
    const at::Tensor& pattern = Captured(Site::kPatternLocal, layer);  // [windows, heads, w, 3w]
    at::Tensor placed = at::zeros({length, pattern.size(1), batch_.n_slots[d]}, pattern.options());
    for (int64_t query = 0; query < length; ++query) {
      const int64_t first = (query / w - 1) * w, begin = std::max<int64_t>(first, 0);
      const int64_t end = std::min(first + 3 * w, length);
      const at::Tensor row = pattern[window + query / w].select(1, query % w);
      placed[query].slice(1, begin, end).copy_(row.slice(1, begin - first, end - first));
    }
    return placed;
  }

  // `actual(d)` gives [rows of document d, ...]; rows where `real` is false hold no meaning.
  template <typename Actual>
  void CompareRows(const GoldenName& golden, Actual actual, const at::Tensor& real) const {
    const at::Tensor expected = expected_.Read(golden.full);
    const at::Tensor all = at::arange(real.size(1));
    const at::Tensor index = golden.IsSampled() ? inputs_.Read(golden.full + "_index") : all;
    std::vector<at::Tensor> ours, theirs;
    for (int64_t d = 0; d < batch_.document_count(); ++d) {
      const at::Tensor kept = real[d].index_select(0, index).nonzero().flatten();
      const at::Tensor rows = golden.HeadsFirst() ? expected[d].transpose(0, 1) : expected[d];
      ours.push_back(actual(d).index_select(0, index.index_select(0, kept)));
      theirs.push_back(rows.index_select(0, kept));
    }
    const bool time = golden.kind.find("_t2v") != std::string::npos;
    const Tolerance tolerance = golden.kind == "mlm_logits" ? LogitTolerance(case_.dtype)
                                : time                      ? TimeVectorTolerance(case_.dtype)
                                                            : ActivationTolerance(case_.dtype);
    Expect(at::cat(ours), at::cat(theirs), golden, tolerance);
  }

  void Expect(const at::Tensor& actual, const at::Tensor& expected, const GoldenName& golden,
              Tolerance tolerance) const {
    SCOPED_TRACE(golden.full);
    ExpectClose(actual, expected, tolerance.absolute, tolerance.relative,
                c10::str("life2vec.", golden.kind, ".", GoldenSuffix(case_.dtype)));
  }

  Case case_;
  std::shared_ptr<const Transformer> model_;
  SafetensorsFile inputs_, expected_;
  PackedBatch batch_;
  std::map<std::string, at::Tensor> captured_;
  at::Tensor final_;
};

bool IsInput(const std::string& name) {
  static const std::set<std::string> inputs = {"input_ids",  "padding_mask",      "target_pos", "target_tokens",
                                               "target_sop", "original_sequence", "sequence_id"};
  return inputs.count(name) > 0 || name.find("@pos_index") != std::string::npos;
}

class GoldenParity : public testing::TestWithParam<Case> {};

TEST_P(GoldenParity, EveryTensorIsThatOfThePublishedCode) {
  const c10::NoGradGuard no_grad;
  const GoldenRun run(GetParam());
  for (const std::string& name : run.names()) {
    if (!IsInput(name)) {
      EXPECT_TRUE(run.Compare(name)) << name << " is compared with nothing";
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, GoldenParity, testing::ValuesIn(GoldenCases()), [](const auto& info) {
  return c10::str(info.param.model, "_", info.param.batch, "_", GoldenSuffix(info.param.dtype));
});

class GoldenPadding : public testing::TestWithParam<at::ScalarType> {};

// The padded length is part of the function: one document in four lengths, here by n_slots alone.
TEST_P(GoldenPadding, NSlotsGivesTheResultOfThatPaddedLength) {
  const c10::NoGradGuard no_grad;
  const at::ScalarType dtype = GetParam();
  const auto model = GoldenModel("struct_small", dtype);
  const SafetensorsFile file = SafetensorsFile::Open(GoldenPath("life2vec/struct_small/padding.safetensors"));
  const at::Tensor ids = file.Read("input_ids").unsqueeze(0);
  const at::Tensor mask = at::arange(ids.size(2)).lt(file.Read("length").item<int64_t>()).unsqueeze(0);
  for (const int64_t slots : {40, 48, 64, 256}) {
    const std::string prefix = c10::str("L", slots), suffix = c10::str(".", GoldenSuffix(dtype));
    const at::Tensor final = model->Forward(PackGolden(ids, mask, slots));
    const Tolerance activation = ActivationTolerance(dtype), logit = LogitTolerance(dtype);
    ExpectClose(final, file.Read(prefix + ".final" + suffix), activation.absolute, activation.relative,
                "life2vec.padding.final" + suffix);
    ExpectClose(model->SopLogits(final.slice(0, 0, 1))[0], file.Read(prefix + ".sop_logits" + suffix), logit.absolute,
                logit.relative, "life2vec.padding.sop_logits" + suffix);
  }
}

INSTANTIATE_TEST_SUITE_P(All, GoldenPadding, testing::Values(at::kFloat, at::kDouble),
                         [](const auto& info) { return GoldenSuffix(info.param); });

}  // namespace
}  // namespace lifescope
