// Documents packed without padding give what padded documents give, alone or with neighbours.
#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "server/model/padded_reference.h"
#include "server/model/transformer.h"
#include "tests/model/small_model.h"
#include "tests/support/golden.h"

namespace lifescope {
namespace {

double ToleranceOf(at::ScalarType dtype) { return dtype == at::kDouble ? 1e-9 : 1e-5; }

at::Tensor FirstRows(const PackedBatch& batch) {
  return at::tensor(std::vector<int64_t>(batch.offsets.begin(), batch.offsets.end() - 1), at::kLong);
}

std::vector<int64_t> RandomLengths(uint64_t seed, int64_t longest) {
  std::mt19937_64 random(seed);
  std::vector<int64_t> lengths = {longest, 1};
  for (int i = 0; i < 6; ++i) lengths.push_back(1 + static_cast<int64_t>(random() % static_cast<uint64_t>(longest)));
  return lengths;
}

// Models that differ in what the padded and the packed code could treat differently.
struct Variant {
  const char* name;
  void (*change)(Hyperparameters*);
};
const Variant kVariants[] = {
    {"Published", [](Hyperparameters*) {}},
    {"AllGlobal", [](Hyperparameters* h) { h->n_local = 0; }},
    {"AllLocal", [](Hyperparameters* h) { h->n_local = h->n_heads; }},
    {"WindowOfOne", [](Hyperparameters* h) { h->local_window_size = 1; }},
    {"WindowOverSlots", [](Hyperparameters* h) { h->local_window_size = 100; }},
    {"NormedInput", [](Hyperparameters* h) { h->norm_input_emb = true, h->norm_output_emb = false; }},
    {"Uncentred", [](Hyperparameters* h) { h->parametrize_emb = false; }},
    {"Untied", [](Hyperparameters* h) { h->weight_tying = false; }},
    {"Gelu", [](Hyperparameters* h) { h->hidden_act = Activation::kGelu; }},
    {"GeluCustom", [](Hyperparameters* h) { h->hidden_act = Activation::kGeluCustom; }},
    {"GeluGoogle", [](Hyperparameters* h) { h->hidden_act = Activation::kGeluGoogle; }},
    {"Relu", [](Hyperparameters* h) { h->hidden_act = Activation::kRelu; }},
};

class Packing : public testing::TestWithParam<std::tuple<Variant, at::ScalarType>> {
 protected:
  Packing() : dtype_(std::get<1>(GetParam())), h_(SmallHyperparameters()) { std::get<0>(GetParam()).change(&h_); }

  const at::ScalarType dtype_;
  Hyperparameters h_;
};

TEST_P(Packing, EqualsThePaddedReference) {
  const c10::NoGradGuard no_grad;
  const Weights weights = SmallWeights(h_, 1, dtype_);
  const Transformer model(h_, weights);
  const PaddedReference reference(ToStateDict(weights, h_), h_);
  const double tolerance = ToleranceOf(dtype_);
  const std::string family = std::string("life2vec.packed_vs_padded.") + (dtype_ == at::kDouble ? "f64" : "f32");
  for (const int64_t slots : {33, 64}) {
    const PackedBatch batch = RandomBatch(h_, RandomLengths(static_cast<uint64_t>(slots), 33), slots, 7);
    const PaddedBatch padded = PadBatch(batch);
    const at::Tensor expected = RealRows(reference.Forward(padded), padded.mask);
    const at::Tensor final = model.Forward(batch);
    ExpectClose(final, expected, tolerance, tolerance, family);
    ExpectClose(model.MlmLogits(final), reference.MlmLogits(expected), tolerance, tolerance, family);
    const at::Tensor cls = expected.index_select(0, FirstRows(batch));
    ExpectClose(model.SopLogits(cls), reference.SopLogits(cls), tolerance, tolerance, family);
  }
}

// Leaves these rows out of every document that is longer, where they were: their slots become holes.
PackedBatch WithHoles(const PackedBatch& batch, const std::vector<int64_t>& holes) {
  std::vector<int64_t> kept;
  PackedBatch result = batch;
  result.offsets = {0};
  for (int64_t d = 0; d < batch.document_count(); ++d) {
    for (int64_t row = 0; row < batch.length(d); ++row) {
      const bool is_hole = std::find(holes.begin(), holes.end(), row) != holes.end();
      if (!is_hole || row + 1 == batch.length(d)) kept.push_back(batch.offsets[d] + row);
    }
    result.offsets.push_back(static_cast<int64_t>(kept.size()));
  }
  const at::Tensor index = at::tensor(kept, at::kLong);
  for (at::Tensor* column : {&result.token, &result.abspos, &result.age, &result.segment, &result.position}) {
    *column = column->index_select(0, index);
  }
  return result;
}

// The window is 5: holes at the start, in a window, over a window and its neighbours, and over whole windows.
TEST_P(Packing, HolesEqualThoseOfThePaddedReference) {
  const c10::NoGradGuard no_grad;
  const Weights weights = SmallWeights(h_, 1, dtype_);
  const Transformer model(h_, weights);
  const PaddedReference reference(ToStateDict(weights, h_), h_);
  const std::string family = std::string("life2vec.packed_vs_padded.") + (dtype_ == at::kDouble ? "f64" : "f32");
  const std::vector<int64_t> holes = {0, 2, 3, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 26, 31};
  for (const int64_t slots : {33, 64}) {
    const PackedBatch whole = RandomBatch(h_, RandomLengths(static_cast<uint64_t>(slots), 33), slots, 7);
    const PackedBatch batch = WithHoles(whole, holes);
    ASSERT_LT(batch.token_count(), whole.token_count());
    const PaddedBatch padded = PadBatch(batch);
    const at::Tensor final = model.Forward(batch);
    ExpectClose(final, RealRows(reference.Forward(padded), padded.mask), ToleranceOf(dtype_), ToleranceOf(dtype_),
                family);
    // To close the gap is another document.
    PackedBatch closed = batch;
    std::vector<at::Tensor> positions;
    for (int64_t d = 0; d < batch.document_count(); ++d) positions.push_back(at::arange(batch.length(d), at::kLong));
    closed.position = at::cat(positions);
    EXPECT_FALSE(at::allclose(model.Forward(closed), final));
  }
}

TEST_P(Packing, ADocumentDoesNotDependOnItsNeighbours) {
  const c10::NoGradGuard no_grad;
  const Transformer model(h_, SmallWeights(h_, 2, dtype_));
  const PackedBatch batch = RandomBatch(h_, RandomLengths(3, 60), 64, 8);
  const at::Tensor together = model.Forward(batch);
  const double tolerance = ToleranceOf(dtype_);
  for (int64_t d = 0; d < batch.document_count(); ++d) {
    ExpectClose(together.slice(0, batch.offsets[d], batch.offsets[d + 1]), model.Forward(OneDocument(batch, d)),
                tolerance, tolerance,
                std::string("life2vec.alone_vs_batched.") + (dtype_ == at::kDouble ? "f64" : "f32"));
  }
}

TEST(PackingWindow, OverTheLongestDocumentCostsNoMoreThanThat) {
  const c10::NoGradGuard no_grad;
  Hyperparameters h = SmallHyperparameters();
  const PackedBatch batch = RandomBatch(h, RandomLengths(3, 60), 64, 8);
  h.local_window_size = 100;
  const at::Tensor expected = Transformer(h, SmallWeights(h, 2, at::kFloat)).Forward(batch);
  h.local_window_size = int64_t{1} << 31;
  EXPECT_TRUE(at::equal(Transformer(h, SmallWeights(h, 2, at::kFloat)).Forward(batch), expected));
}

INSTANTIATE_TEST_SUITE_P(All, Packing,
                         testing::Combine(testing::ValuesIn(kVariants), testing::Values(at::kFloat, at::kDouble)),
                         [](const auto& info) {
                           return std::string(std::get<0>(info.param).name) +
                                  (std::get<1>(info.param) == at::kDouble ? "_f64" : "_f32");
                         });

// A loss that every weight takes part in.
at::Tensor Loss(const at::Tensor& final, const at::Tensor& mlm, const at::Tensor& sop) {
  const auto pseudo_random = [](const at::Tensor& x) {
    return at::arange(x.numel(), x.options().requires_grad(false)).mul(0.7).sin().view_as(x);
  };
  return (final * pseudo_random(final)).sum() + (mlm * pseudo_random(mlm)).sum() + (sop * pseudo_random(sop)).sum();
}

TEST(PackingGradients, OfEveryWeightEqualThoseOfThePaddedReference) {
  for (const bool tied : {true, false}) {
    Hyperparameters h = SmallHyperparameters();
    h.weight_tying = tied;
    Weights weights = SmallWeights(h, 4, at::kDouble);
    const PackedBatch batch = RandomBatch(h, {33, 1, 20, 40}, 40, 9);
    std::map<std::string, at::Tensor> state = ToStateDict(weights, h);
    for (const auto& [name, tensor] : TrainableTensors(weights)) {
      state[name] = tensor->clone().requires_grad_(true);
      *tensor = tensor->clone().requires_grad_(true);
    }
    if (tied) {
      weights.mlm.decoder = weights.embedding.token;
      state["mlm_decoder.out.parametrizations.weight.original"] =
          state["transformer.embedding.token.parametrizations.weight.original"];
    }

    const Transformer model(h, weights);
    const at::Tensor final = model.Forward(batch), first = FirstRows(batch);
    Loss(final, model.MlmLogits(final), model.SopLogits(final.index_select(0, first))).backward();

    const PaddedReference reference(state, h);
    const PaddedBatch padded = PadBatch(batch);
    const at::Tensor expected = RealRows(reference.Forward(padded), padded.mask);
    Loss(expected, reference.MlmLogits(expected), reference.SopLogits(expected.index_select(0, first))).backward();

    for (const auto& [name, tensor] : TrainableTensors(weights)) {
      SCOPED_TRACE(name);
      ASSERT_TRUE(tensor->grad().defined());
      EXPECT_GT(tensor->grad().abs().max().item<double>(), 0);
      const double scale = 1 + state[name].grad().abs().max().item<double>();
      ExpectClose(tensor->grad(), state[name].grad(), 1e-9 * scale, 0, "life2vec.weight_gradients.f64");
    }
  }
}

TEST(PackedBatch, RefusesWhatDoesNotFitByIndex) {
  const std::vector<int32_t> column(9, 1);
  const auto rows = [&](int64_t length, int64_t slots) {
    return DocumentRows{column.data(), column.data(), column.data(), column.data(), length, slots};
  };
  const auto pack = [](std::vector<DocumentRows> documents) {
    return MessageOf<c10::ValueError>([&] { MakePackedBatch(documents, at::kCPU); });
  };
  EXPECT_EQ(pack({rows(3, 3), rows(0, 3)}), "document 1 of the batch is empty");
  EXPECT_EQ(pack({rows(9, 8)}), "document 0 of the batch has 9 tokens, more than its n_slots 8");
  EXPECT_EQ(pack({}), "a batch needs at least one document");
  EXPECT_EQ(pack({rows(9, 9)}), "no error");
  const auto at_positions = [&](std::vector<int32_t> position, int64_t slots) {
    DocumentRows document = rows(static_cast<int64_t>(position.size()), slots);
    document.position = position.data();
    return pack({document});
  };
  EXPECT_EQ(at_positions({0, 3, 7}, 8), "no error");
  EXPECT_EQ(at_positions({0, 3, 8}, 8), "document 0 of the batch: row 2 is at position 8, expected 4 <= position < 8");
  EXPECT_EQ(at_positions({0, 3, 3}, 8), "document 0 of the batch: row 2 is at position 3, expected 4 <= position < 8");
  EXPECT_EQ(at_positions({-1, 3}, 8), "document 0 of the batch: row 0 is at position -1, expected 0 <= position < 8");
}

TEST(PackedBatch, PositionsStartAgainInEveryDocument) {
  const PackedBatch batch = RandomBatch(SmallHyperparameters(), {2, 3}, 4, 1);
  EXPECT_TRUE(at::equal(batch.position, at::tensor({0, 1, 0, 1, 2}, at::kLong)));
  EXPECT_EQ(batch.offsets, (std::vector<int64_t>{0, 2, 5}));
  EXPECT_EQ(batch.token_count(), 5);
}

}  // namespace
}  // namespace lifescope
