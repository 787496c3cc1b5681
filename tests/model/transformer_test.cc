#include "server/model/transformer.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/model/small_model.h"
#include "tests/support/golden.h"

namespace lifescope {
namespace {

using testing::AllOf;
using testing::HasSubstr;

class TransformerTest : public testing::Test {
 protected:
  TransformerTest()
      : h_(SmallHyperparameters()),
        model_(h_, SmallWeights(h_, 1, at::kDouble)),
        batch_(RandomBatch(h_, {17, 9, 1}, 20, 2)) {}

  at::Tensor Forward(const Hooks& hooks) const {
    ForwardOptions options;
    options.hooks = &hooks;
    return model_.Forward(batch_, options);
  }
  at::Tensor At(Site site, int64_t layer) const {
    at::Tensor activation;
    Hooks hooks;
    hooks.Capture({site, layer}, &activation);
    Forward(hooks);
    return activation;
  }
  static void ExpectEqual(const at::Tensor& a, const at::Tensor& b) {
    ExpectClose(a, b, 1e-12, 1e-12, "life2vec.identities");
  }

  const c10::NoGradGuard no_grad_;
  const Hyperparameters h_;
  const Transformer model_;
  const PackedBatch batch_;
};

TEST_F(TransformerTest, EveryHookPointIsVisitedOnceWithItsShape) {
  const std::vector<HookPoint> points = AllHookPoints(h_);
  std::vector<at::Tensor> activation(points.size());
  std::vector<int> visits(points.size(), 0);
  Hooks hooks;
  for (size_t i = 0; i < points.size(); ++i) {
    hooks.Add(points[i], [&, i](const at::Tensor& x) {
      activation[i] = x;
      ++visits[i];
      return x;
    });
  }
  ForwardOptions options;
  options.hooks = &hooks;
  const at::Tensor final = model_.Forward(batch_, options);
  EXPECT_TRUE(at::equal(final, model_.Forward(batch_)));
  model_.MlmLogits(final, options);
  model_.SopLogits(final.slice(0, 0, 3), options);
  const std::map<RowKind, int64_t> rows = {
      {RowKind::kToken, 27}, {RowKind::kDocument, 3}, {RowKind::kWindow, 4 + 2 + 1}, {RowKind::kHeadRow, 27}};
  for (size_t i = 0; i < points.size(); ++i) {
    SCOPED_TRACE(points[i].ToString());
    ASSERT_EQ(visits[i], 1);
    EXPECT_EQ(activation[i].size(0), rows.at(RowKindOf(points[i].site)));
    EXPECT_EQ(activation[i].sizes().slice(1), at::IntArrayRef(ShapeAt(points[i], h_)));
  }
}

TEST_F(TransformerTest, ChangingAnyHookPointChangesTheResult) {
  const at::Tensor final = model_.Forward(batch_);
  const at::Tensor mlm = model_.MlmLogits(final), sop = model_.SopLogits(final.slice(0, 0, 3));
  for (const HookPoint& point : AllHookPoints(h_)) {
    SCOPED_TRACE(point.ToString());
    Hooks hooks;
    hooks.Add(point, [](const at::Tensor& x) { return x + at::arange(x.numel(), x.options()).view_as(x).sin(); });
    ForwardOptions options;
    options.hooks = &hooks;
    const at::Tensor edited = model_.Forward(batch_, options);
    const bool same = at::equal(edited, final) && at::equal(model_.MlmLogits(edited, options), mlm) &&
                      at::equal(model_.SopLogits(edited.slice(0, 0, 3), options), sop);
    EXPECT_FALSE(same);
  }
}

TEST_F(TransformerTest, NamedActivationsAddUp) {
  ExpectEqual(
      At(Site::kEmbedToken, -1) + At(Site::kEmbedAge, -1) + At(Site::kEmbedAbspos, -1) + At(Site::kEmbedSegment, -1),
      At(Site::kEmbed, -1));
  for (int64_t layer = 0; layer < h_.n_encoders; ++layer) {
    const BlockWeights& w = model_.weights().blocks[static_cast<size_t>(layer)];
    ExpectEqual(At(Site::kResidPre, layer) + At(Site::kAttnContrib, layer), At(Site::kResidMid, layer));
    ExpectEqual(At(Site::kResidMid, layer) + At(Site::kMlpContrib, layer), At(Site::kResidPost, layer));
    ExpectEqual(At(Site::kAttnOut, layer) * w.gate_attention, At(Site::kAttnContrib, layer));
    ExpectEqual(at::linear(At(Site::kMlpPost, layer), w.w_out, w.b_out), At(Site::kMlpOut, layer));
    ExpectEqual(at::linear(At(Site::kZ, layer).flatten(1), w.w_o, w.b_o), At(Site::kAttnOut, layer));
  }
}

TEST_F(TransformerTest, TheInputOfASublayerIsNotTheStream) {
  const auto with = [&](Site edited, Site captured) {
    at::Tensor activation;
    Hooks hooks;
    hooks.Add({edited, 1}, [](const at::Tensor& x) { return x + 0.5; });
    hooks.Capture({captured, 1}, &activation);
    Forward(hooks);
    return activation;
  };
  const BlockWeights& w = model_.weights().blocks[1];
  // The sublayer works on the changed value...
  ExpectEqual(with(Site::kAttnIn, Site::kQ).flatten(1), at::linear(At(Site::kResidPre, 1) + 0.5, w.w_q));
  ExpectEqual(with(Site::kMlpIn, Site::kMlpPre), at::linear(At(Site::kResidMid, 1) + 0.5, w.w_in, w.b_in));
  // ... and adds to the unchanged one.
  ExpectEqual(with(Site::kAttnIn, Site::kResidMid), At(Site::kResidPre, 1) + with(Site::kAttnIn, Site::kAttnContrib));
  ExpectEqual(with(Site::kMlpIn, Site::kResidPost), At(Site::kResidMid, 1) + with(Site::kMlpIn, Site::kMlpContrib));
  EXPECT_FALSE(at::allclose(with(Site::kAttnIn, Site::kAttnContrib), At(Site::kAttnContrib, 1)));
}

TEST_F(TransformerTest, GlobalHeadsAreKvOverKsum) {
  const at::Tensor q = At(Site::kPhiQ, 1), kv = At(Site::kKv, 1), ksum = At(Site::kKsum, 1), z = At(Site::kZ, 1);
  for (int64_t d = 0; d < batch_.document_count(); ++d) {
    const at::Tensor rows = q.slice(0, batch_.offsets[d], batch_.offsets[d + 1]);
    const at::Tensor out =
        at::einsum("ngm,gmd->ngd", {rows, kv[d]}) / at::einsum("ngm,gm->ng", {rows, ksum[d]}).unsqueeze(-1);
    ExpectEqual(out, z.slice(0, batch_.offsets[d], batch_.offsets[d + 1]).slice(1, 0, h_.n_global()));
  }
}

TEST_F(TransformerTest, TheFirstFivePositionsHaveNoTime) {
  for (const Site site : {Site::kEmbedAge, Site::kEmbedAbspos}) {
    const at::Tensor time = At(site, -1).abs().sum(1);
    EXPECT_TRUE(at::equal(time.eq(0), batch_.position.lt(5)));
  }
}

TEST_F(TransformerTest, LayerCountStopsAfterThatLayer) {
  ForwardOptions options;
  for (options.layer_count = 0; options.layer_count <= h_.n_encoders; ++options.layer_count) {
    const int64_t count = options.layer_count;
    const at::Tensor expected = count == 0 ? At(Site::kEmbed, -1) : At(Site::kResidPost, count - 1);
    EXPECT_TRUE(at::equal(model_.Forward(batch_, options), expected));
  }
  EXPECT_THAT(MessageOf<c10::ValueError>([&] { model_.Forward(batch_, options); }),
              AllOf(HasSubstr("layer_count is 4"), HasSubstr("3 layers")));
}

TEST_F(TransformerTest, StartingAtALayerIsStartingAtTheEmbedding) {
  Hooks edit;
  edit.Add({Site::kResidPost, 1}, [](const at::Tensor& x) { return x * 1.5; });
  for (const Hooks* hooks : {static_cast<const Hooks*>(nullptr), static_cast<const Hooks*>(&edit)}) {
    ForwardOptions whole;
    whole.hooks = hooks;
    const at::Tensor expected = model_.Forward(batch_, whole);
    for (int64_t first = 1; first <= 2; ++first) {
      ForwardOptions options = whole;
      options.first_layer = first;
      options.residual = At(Site::kResidPost, first - 1);
      int64_t layers = 0;
      options.before_layer = [&] { ++layers; };
      EXPECT_TRUE(at::equal(model_.Forward(batch_, options), expected)) << first;
      EXPECT_EQ(layers, h_.n_encoders - first);
    }
  }
}

TEST_F(TransformerTest, AStartThatDoesNotFitIsRefused) {
  ForwardOptions options;
  options.first_layer = 1;
  EXPECT_THAT(MessageOf<c10::ValueError>([&] { model_.Forward(batch_, options); }), HasSubstr("expected [27, 20]"));
  options.residual = at::zeros({26, 20}, at::kDouble);
  EXPECT_THAT(MessageOf<c10::ValueError>([&] { model_.Forward(batch_, options); }),
              AllOf(HasSubstr("is [26, 20]"), HasSubstr("expected [27, 20]")));
  options.first_layer = 2;
  options.layer_count = 1;
  EXPECT_THAT(MessageOf<c10::ValueError>([&] { model_.Forward(batch_, options); }),
              HasSubstr("first_layer is 2, expected 0 to layer_count = 1"));
}

TEST_F(TransformerTest, BeforeLayerRunsBeforeEveryLayerAndMayStop) {
  int calls = 0;
  ForwardOptions options;
  options.before_layer = [&] {
    if (++calls == 2) throw std::runtime_error("stopped");
  };
  EXPECT_THROW(model_.Forward(batch_, options), std::runtime_error);
  EXPECT_EQ(calls, 2);
}

TEST_F(TransformerTest, DropoutActsInTrainingAlone) {
  Dropout none, half{0.5, 0.5, 0.5, 0.5};
  ForwardOptions options;
  options.dropout = &none;
  const at::Tensor expected = model_.Forward(batch_);
  EXPECT_TRUE(at::equal(model_.Forward(batch_, options), expected));
  options.dropout = &half;
  const at::Tensor first = model_.Forward(batch_, options);
  EXPECT_FALSE(at::allclose(first, expected));
  EXPECT_FALSE(at::allclose(first, model_.Forward(batch_, options)));
  EXPECT_FALSE(at::allclose(model_.MlmLogits(expected, options), model_.MlmLogits(expected)));
  EXPECT_FALSE(at::allclose(model_.SopLogits(expected, options), model_.SopLogits(expected)));
}

TEST_F(TransformerTest, IdsOutsideTheTablesAreNamedWithTheirPlace) {
  PackedBatch batch = batch_;
  batch.token = batch_.token.clone();
  batch.token[20] = 50;
  EXPECT_THAT(MessageOf<c10::IndexError>([&] { model_.Forward(batch); }),
              HasSubstr("token 50 at position 3 of document 1 of the batch is outside [0, 50)"));
  batch = batch_;
  batch.segment = batch_.segment.clone();
  batch.segment[0] = -1;
  EXPECT_THAT(MessageOf<c10::IndexError>([&] { model_.Forward(batch); }),
              HasSubstr("segment -1 at position 0 of document 0"));
}

TEST_F(TransformerTest, AHookThatReturnsAnotherShapeIsNamed) {
  Hooks hooks;
  hooks.Add({Site::kMlpPre, 1}, [](const at::Tensor& x) { return x.slice(0, 1); });
  EXPECT_THAT(MessageOf<c10::ValueError>([&] { Forward(hooks); }),
              AllOf(HasSubstr("blocks.1.mlp.hook_pre"), HasSubstr("[26, 32]"), HasSubstr("[27, 32]")));
}

TEST_F(TransformerTest, ParametersAreCountedOnceWhenTied) {
  Hyperparameters untied = h_;
  untied.weight_tying = false;
  const Transformer other(untied, SmallWeights(untied, 1, at::kDouble));
  EXPECT_EQ(other.ParameterCount() - model_.ParameterCount(), h_.vocab_size * h_.hidden_size);
}

}  // namespace
}  // namespace lifescope
