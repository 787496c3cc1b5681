// Feature edits and attributions of sparse feature circuits (Marks et al. 2024), restated on a small network of its own
// (golden/sae/metrics/interventions): the pieces that edits and attributions are made of give its numbers.
#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <nlohmann/json.hpp>
#include <optional>

#include "server/artifact/artifact.h"
#include "server/artifact/safetensors.h"
#include "server/intervention/attribution/feature_space.h"
#include "server/intervention/feature_edit.h"
#include "tests/support/golden.h"
#include "tests/support/relu_dictionary.h"

namespace lifescope {
namespace {

constexpr double kRelative = 1e-9;

class GoldenFeatureEffects : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!HasGolden(kFolder)) GTEST_SKIP() << "only in the whole golden set";
    hyper_ = nlohmann::json::parse(ReadFile(GoldenPath(std::string(kFolder) + "/fixture.json")))["hyper"];
    file_.emplace(SafetensorsFile::Open(GoldenPath(std::string(kFolder) + "/fixture.safetensors")));
    for (const char* name : {"sae0", "sae1"}) {
      ReluDictionary dictionary(16, 48, at::kDouble, 1);
      const std::string prefix = std::string(name) + "/";
      dictionary.w_enc = file_->Read(prefix + "W_enc");
      dictionary.w_dec = file_->Read(prefix + "W_dec");
      dictionary.b_dec = file_->Read(prefix + "b_dec");
      // (x - b_dec) W_enc + b_enc.
      dictionary.b_enc = file_->Read(prefix + "b_enc") - dictionary.b_dec.matmul(dictionary.w_enc);
      dictionaries_.push_back(dictionary);
    }
    const at::Tensor mask = at::ones({7, 7}, at::kDouble).tril();
    average_ = mask / mask.sum(1, true);
    for (const char* run : {"clean", "patch"}) {
      const at::Tensor r0 = Net("E").index({{file_->Read(std::string("in/") + run)}}) + Net("P");
      sites_.push_back({AfterFirst(r0), AfterSecond(AfterFirst(r0))});
    }
  }

  static constexpr char kFolder[] = "sae/metrics/interventions";

  at::Tensor Net(const std::string& name) const { return file_->Read("net/" + name); }
  at::Tensor Block(const at::Tensor& r, const char* in, const char* out) const {
    return r + at::matmul(at::tanh(at::matmul(at::matmul(average_, r), Net(in))), Net(out));
  }
  at::Tensor AfterFirst(const at::Tensor& r0) const { return Block(r0, "A1", "C1"); }
  at::Tensor AfterSecond(const at::Tensor& r1) const { return Block(r1, "A2", "C2"); }
  // The logits from the activation of a site.
  at::Tensor Logits(size_t site, const at::Tensor& x) const {
    return at::matmul(site == 0 ? AfterSecond(x) : x, Net("U"));
  }
  // [batch].
  at::Tensor Metric(size_t site, const at::Tensor& x) const {
    const at::Tensor last = Logits(site, x).select(1, 6);
    const auto at_answer = [&](const char* name) {
      return last.gather(1, file_->Read(std::string("in/") + name).unsqueeze(1)).squeeze(1);
    };
    return at_answer("patch_answer") - at_answer("clean_answer");
  }
  at::Tensor Gradient(size_t site, const at::Tensor& x) const {
    const at::Tensor leaf = x.detach().clone().requires_grad_(true);
    return torch::autograd::grad({Metric(site, leaf).sum()}, {leaf})[0];
  }

  at::Tensor Rows(size_t run, size_t site) const { return sites_[run][site].reshape({-1, 16}); }

  // The clean activation of site 0 after an edit of features at all positions.
  at::Tensor Edited(ErrorMode error_mode, std::vector<int64_t> features, CellEdit::Operation operation,
                    const at::Tensor& values) const {
    const at::Tensor rows = Rows(0, 0).clone();
    CellEdit edit;
    for (int64_t i = 0; i < rows.size(0); ++i) edit.positions.push_back(i);
    edit.channels = std::move(features);
    edit.operation = operation;
    edit.values = values;
    DictionaryEdits edits;
    edits.error_mode = error_mode;
    edits.features.push_back(std::move(edit));
    DictionaryChange(dictionaries_[0], std::move(edits))(rows);
    return rows.view({5, 7, 16});
  }

  void Expect(const at::Tensor& actual, const std::string& name) const {
    const at::Tensor expected = file_->Read("f64/" + name);
    ExpectClose(actual.reshape(expected.sizes()), expected, 1e-12, kRelative, "sae.interventions");
  }

  nlohmann::json hyper_;
  std::optional<SafetensorsFile> file_;
  std::vector<ReluDictionary> dictionaries_;
  at::Tensor average_;
  std::vector<std::vector<at::Tensor>> sites_;  // [clean, patch][site]
};

TEST_F(GoldenFeatureEffects, FeaturesErrorsAndMetrics) {
  Expect(Logits(0, sites_[0][0]), "interv/clean");
  Expect(Metric(0, sites_[0][0]), "metric_clean");
  Expect(Metric(1, sites_[1][1]), "metric_patch");
  for (size_t site = 0; site < 2; ++site) {
    const std::string at = "site" + std::to_string(site) + "/";
    const FeatureSpace clean(dictionaries_[site], Rows(0, site));
    Expect(clean.values(), at + "acts_clean");
    Expect(clean.errors(), at + "error_clean");
    Expect(dictionaries_[site].Encode(Rows(1, site)), at + "acts_patch");
  }
}

TEST_F(GoldenFeatureEffects, EditsOfOneFeatureWithAndWithoutTheError) {
  const int64_t feature = hyper_["feature"];
  const at::Tensor f = dictionaries_[0].Encode(Rows(0, 0)).select(1, feature);
  const auto value = [](double x) { return at::full({1}, x, at::kDouble); };
  using Operation = CellEdit::Operation;
  for (const auto& [mode, suffix] :
       {std::pair{ErrorMode::kDelta, "_with_error"}, std::pair{ErrorMode::kReplace, "_no_error"}}) {
    const auto logits = [&, mode = mode](Operation operation, const at::Tensor& values) {
      return Logits(0, Edited(mode, {feature}, operation, values));
    };
    Expect(logits(Operation::kSet, value(0)), std::string("interv/zero") + suffix);
    Expect(logits(Operation::kSet, f.mean().view({1})), std::string("interv/mean") + suffix);
    Expect(logits(Operation::kSet, value(hyper_["set_value"])), std::string("interv/set") + suffix);
    Expect(logits(Operation::kScale, value(hyper_["scale"])), std::string("interv/scale") + suffix);
    Expect(logits(Operation::kScale, value(1)), std::string("interv/identity") + suffix);
  }
  Expect(Logits(0, Edited(ErrorMode::kDelta, {feature}, Operation::kSet, value(0))), "interv/subtract_contribution");
  // Steering by a decoder row is adding to its feature.
  Expect(Logits(0, Edited(ErrorMode::kDelta, {feature}, Operation::kAdd, value(hyper_["steer_coefficient"]))),
         "interv/steer_decoder");
}

TEST_F(GoldenFeatureEffects, FeaturesOfTheOtherRun) {
  const at::Tensor patch = dictionaries_[0].Encode(Rows(1, 0));
  std::vector<int64_t> all(48);
  for (size_t i = 0; i < all.size(); ++i) all[i] = static_cast<int64_t>(i);
  const int64_t feature = hyper_["feature"];
  Expect(Logits(0, Edited(ErrorMode::kDelta, all, CellEdit::Operation::kSet, patch)),
         "interv/patch_all_features_clean_error");
  Expect(Logits(0, sites_[1][0]), "interv/patch_all_features_patch_error");
  Expect(Logits(0, Edited(ErrorMode::kDelta, {feature}, CellEdit::Operation::kSet, patch.narrow(1, feature, 1))),
         "interv/patch_one_feature");
}

TEST_F(GoldenFeatureEffects, AttributionsByOneGradientAndIntegrated) {
  const int64_t steps = hyper_["ig_steps"];
  for (size_t site = 0; site < 2; ++site) {
    const std::string at = "site" + std::to_string(site) + "/";
    const at::Tensor x = sites_[0][site], other = sites_[1][site];
    const FeatureSpace features(dictionaries_[site], Rows(0, site));
    const at::Tensor patch = dictionaries_[site].Encode(Rows(1, site));
    const at::Tensor change = patch - features.values();
    const at::Tensor error_change = Rows(1, site) - features.Decode(patch) - features.errors();
    const at::Tensor gradient = Gradient(site, x).reshape({-1, 16});
    Expect(features.Project(gradient), at + "grad_acts");
    Expect(change * features.Project(gradient), at + "attrib_feature_effect");
    Expect(-features.values() * features.Project(gradient), at + "attrib_feature_effect_zero_patch");
    Expect((error_change * gradient).sum(1), at + "attrib_error_effect");
    at::Tensor mean = at::zeros_like(gradient);
    for (int64_t k = 0; k < steps; ++k) {
      const double share = static_cast<double>(k) / static_cast<double>(steps);
      mean += Gradient(site, x + share * (other - x)).reshape({-1, 16}) / static_cast<double>(steps);
    }
    Expect(change * features.Project(mean), at + "ig_feature_effect");
    Expect((error_change * mean).sum(1), at + "ig_error_effect");

    const at::Tensor index = file_->Read("f64/" + at + "exact_index");
    std::vector<at::Tensor> exact;
    for (int64_t i = 0; i < index.size(0); ++i) {
      const int64_t row = index[i][0].item<int64_t>() * 7 + index[i][1].item<int64_t>();
      const int64_t feature = index[i][2].item<int64_t>();
      const at::Tensor rows = Rows(0, site).clone();
      rows[row].add_(features.DecodeOne(row, feature, change[row][feature]));
      exact.push_back((Metric(site, rows.view({5, 7, 16})) - Metric(site, x)).sum());
    }
    Expect(at::stack(exact), at + "exact_effect");
  }
}

}  // namespace
}  // namespace lifescope
