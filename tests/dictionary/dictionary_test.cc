// Laws of every dictionary, and the top-k selection below them.
#include "server/dictionary/dictionary.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <limits>
#include <nlohmann/json.hpp>

#include "server/dictionary/files/saelens.h"
#include "server/dictionary/top_k.h"
#include "tests/dictionary/random_tensors.h"
#include "tests/dictionary/saelens_folder.h"

namespace lifescope {
namespace {

std::shared_ptr<const Dictionary> SmallDictionary(const std::string& architecture, const std::string& normalisation) {
  SaeLensFolder folder(architecture);
  folder.config["normalize_activations"] = normalisation;
  if (architecture == "topk") folder.config["k"] = 3;
  if (architecture == "jumprelu") folder.tensors["threshold"] = at::full({8}, 0.2);
  if (architecture == "gated") {
    for (const char* name : {"b_gate", "b_mag", "r_mag"}) folder.tensors[name] = folder.tensors["b_enc"] * 0.5;
    folder.tensors.erase("b_enc");
  }
  return LoadSaeLens(folder.Write(), at::kFloat, at::kCPU).dictionary;
}

struct Kind {
  std::string architecture, normalisation;
};

class EveryDictionary : public testing::TestWithParam<Kind> {
 protected:
  std::shared_ptr<const Dictionary> dictionary_ = SmallDictionary(GetParam().architecture, GetParam().normalisation);
};

TEST_P(EveryDictionary, SaysWhatItIs) {
  EXPECT_EQ(dictionary_->architecture(), GetParam().architecture);
  EXPECT_EQ(dictionary_->DecoderDirections().sizes(), at::IntArrayRef({8, 4}));
}

TEST_P(EveryDictionary, SparseEncodingHoldsExactlyTheDenseOne) {
  // More rows than are encoded at once.
  const at::Tensor x = RandomTensors(1).Normal({1100, 4}, at::kFloat);
  const at::Tensor dense = dictionary_->Encode(x);
  const SparseActivations sparse = EncodeSparse(*dictionary_, x);
  ASSERT_EQ(sparse.rows(), 1100);
  EXPECT_EQ(sparse.feature_count, 8);
  EXPECT_EQ(sparse.features.scalar_type(), at::kInt);
  at::Tensor rebuilt = at::zeros_like(dense);
  const int64_t* offsets = sparse.row_offsets.data_ptr<int64_t>();
  const int32_t* features = sparse.features.data_ptr<int32_t>();
  ASSERT_EQ(offsets[1100], sparse.values.numel());
  for (int64_t r = 0; r < 1100; ++r) {
    for (int64_t e = offsets[r]; e < offsets[r + 1]; ++e) {
      ASSERT_TRUE(e == offsets[r] || features[e - 1] < features[e]);
      ASSERT_NE(sparse.values[e].item<float>(), 0);
      rebuilt[r][features[e]] = sparse.values[e];
    }
  }
  // A chunk's product may be summed in another order than the product of all rows.
  EXPECT_TRUE(at::allclose(rebuilt, dense, 1e-6, 1e-6));
  EXPECT_TRUE(at::equal(rebuilt != 0, dense != 0));
}

TEST_P(EveryDictionary, NoRowsGiveNoRows) {
  const at::Tensor none = at::zeros({0, 4});
  EXPECT_EQ(dictionary_->Encode(none).sizes(), at::IntArrayRef({0, 8}));
  EXPECT_EQ(dictionary_->Decode(at::zeros({0, 8}), none).sizes(), at::IntArrayRef({0, 4}));
  EXPECT_EQ(EncodeSparse(*dictionary_, none).rows(), 0);
}

TEST_P(EveryDictionary, NoChangeDecodesToExactZeros) {
  const at::Tensor x = RandomTensors(2).Normal({3, 4}, at::kFloat);
  at::Tensor change = at::zeros({3, 2});
  change[1][0] = 0.5;
  const at::Tensor out = dictionary_->DecodeChange(change, {2, 6}, x);
  EXPECT_TRUE((out[0] == 0).all().item<bool>());
  EXPECT_TRUE((out[1] != 0).any().item<bool>());
  EXPECT_TRUE((out[2] == 0).all().item<bool>());
}

TEST_P(EveryDictionary, ChangeOfNoFeaturesIsZero) {
  const at::Tensor x = RandomTensors(2).Normal({3, 4}, at::kFloat);
  EXPECT_TRUE(at::equal(dictionary_->DecodeChange(at::zeros({3, 0}), {}, x), at::zeros({3, 4})));
}

TEST_P(EveryDictionary, WrongShapesAreRefused) {
  const at::Tensor x = at::zeros({2, 4});
  EXPECT_THROW(dictionary_->Encode(at::zeros({2, 5})), c10::ValueError);
  EXPECT_THROW(dictionary_->Encode(at::zeros({4})), c10::ValueError);
  EXPECT_THROW(dictionary_->Encode(at::zeros({2, 4}, at::kDouble)), c10::ValueError);
  EXPECT_THROW(dictionary_->Decode(at::zeros({2, 7}), x), c10::ValueError);
  EXPECT_THROW(dictionary_->DecodeChange(at::zeros({2, 2}), {1}, x), c10::ValueError);
  EXPECT_THROW(dictionary_->DecodeChange(at::zeros({2, 1}), {8}, x), c10::IndexError);
  EXPECT_THROW(dictionary_->DecodeChange(at::zeros({2, 1}), {-1}, x), c10::IndexError);
}

TEST_P(EveryDictionary, RowsOfZerosStayFinite) {
  const at::Tensor x = at::zeros({1, 4});
  const at::Tensor acts = dictionary_->Encode(x);
  EXPECT_TRUE(at::isfinite(acts).all().item<bool>());
  EXPECT_TRUE(at::isfinite(dictionary_->Decode(acts, x)).all().item<bool>());
}

TEST_P(EveryDictionary, GradientsFlowThrough) {
  at::Tensor x = RandomTensors(4).Normal({5, 4}, at::kFloat).set_requires_grad(true);
  const at::Tensor acts = dictionary_->Encode(x);
  (dictionary_->Decode(acts, x).sum() + acts.sum()).backward();
  EXPECT_TRUE(at::isfinite(x.grad()).all().item<bool>());
  EXPECT_TRUE((x.grad() != 0).any().item<bool>());
}

std::vector<Kind> Kinds() {
  std::vector<Kind> kinds;
  for (const char* architecture : {"standard", "gated", "jumprelu", "topk"}) {
    for (const char* normalisation : {"none", "constant_norm_rescale", "layer_norm"}) {
      kinds.push_back({architecture, normalisation});
    }
  }
  return kinds;
}

INSTANTIATE_TEST_SUITE_P(All, EveryDictionary, testing::ValuesIn(Kinds()),
                         [](const auto& info) { return info.param.architecture + "_" + info.param.normalisation; });

TEST(JumpRelu, PreActivationAtTheThresholdIsInactive) {
  SaeLensFolder folder("jumprelu");
  folder.tensors = {{"W_enc", at::zeros({4, 8})},
                    {"W_dec", at::zeros({8, 4})},
                    {"b_dec", at::zeros({4})},
                    {"b_enc", at::full({8}, 0.25)},
                    {"threshold", at::full({8}, 0.25)}};
  folder.tensors["threshold"][7] = 0.125;
  const at::Tensor acts = LoadSaeLens(folder.Write(), at::kFloat, at::kCPU).dictionary->Encode(at::zeros({1, 4}))[0];
  EXPECT_TRUE((acts.narrow(0, 0, 7) == 0).all().item<bool>());
  EXPECT_EQ(acts[7].item<float>(), 0.25f);
}

TEST(TopK, KeepsTheLargestOfLongRows) {
  const at::Tensor values = RandomTensors(5).Normal({40, 1003}, at::kFloat);
  const at::Tensor expected = std::get<0>(std::get<1>(at::topk(values, 17, 1)).sort(1));
  EXPECT_TRUE(at::equal(TopKIndices(values, 17), expected));
}

TEST(TopK, TiesGoToTheLowerColumn) {
  const at::Tensor values = at::tensor({1., 3., 2., 3., 2., 2., 3.}, at::kDouble).unsqueeze(0);
  EXPECT_TRUE(at::equal(TopKIndices(values, 2)[0], at::tensor({1, 3}, at::kLong)));
  EXPECT_TRUE(at::equal(TopKIndices(values, 4)[0], at::tensor({1, 2, 3, 6}, at::kLong)));
  EXPECT_TRUE(at::equal(TopKIndices(at::zeros({1, 200}), 3)[0], at::tensor({0, 1, 2}, at::kLong)));
}

TEST(TopK, AllOrNone) {
  const at::Tensor values = RandomTensors(6).Normal({2, 5});
  EXPECT_TRUE(at::equal(TopKIndices(values, 5)[1], at::arange(5)));
  EXPECT_EQ(TopKIndices(values, 0).sizes(), at::IntArrayRef({2, 0}));
  EXPECT_THROW(TopKIndices(values, 6), c10::ValueError);
}

}  // namespace
}  // namespace lifescope
