#include "server/training/activation_stream.h"

#include <ATen/ATen.h>
#include <c10/util/Exception.h>
#include <gtest/gtest.h>

#include "tests/support/golden.h"
#include "tests/training/tiny_corpus.h"

namespace lifescope {
namespace {

class ActivationStreamTest : public testing::Test {
 protected:
  ActivationStreamTest() : corpus_(MakeTinyCorpus(TemporaryFolder() + "/corpus", 25)) {
    model_ = std::make_shared<const Transformer>(TinyShape(), InitializeWeights(TinyShape(), 3, 1));
    hook_points_ = {HookPoint::Parse("blocks.0.hook_resid_post")};
    options_.buffer_rows = 200;
    options_.batch_tokens = 100;
    options_.seed = 8;
  }

  ActivationStream Stream() const { return ActivationStream({{model_, hook_points_}}, corpus_, options_); }

  // Rows of every served position, document by document, each run alone.
  at::Tensor AllRows() const {
    std::vector<at::Tensor> rows;
    for (int64_t i = 0; i < corpus_->size(); ++i) {
      if (options_.training_split_only && corpus_->split(i) != Split::kTrain) continue;
      const Document document = corpus_->DocumentAt(i);
      ForwardOptions forward;
      forward.layer_count = 1;
      const at::Tensor residual =
          model_->Forward(MakePackedBatch({{document.token.data(), document.abspos.data(), document.age.data(),
                                            document.segment.data(), document.length(), kTinyMaxLength}},
                                          at::kCPU),
                          forward);
      for (int64_t position = 0; position < document.length(); ++position) {
        const bool prefix = document.event[position] == 0;
        if (prefix && options_.skip_prefix) continue;
        if (!prefix && options_.skip_separators && document.token[position] == kSep) continue;
        rows.push_back(residual[position]);
      }
    }
    return at::stack(rows);
  }

  std::shared_ptr<const Corpus> corpus_;
  std::shared_ptr<const Transformer> model_;
  std::vector<HookPoint> hook_points_;
  ActivationStreamOptions options_;
};

TEST_F(ActivationStreamTest, AnEpochServesEveryRowOnce) {
  const at::Tensor expected = AllRows();
  // A buffer of exactly one epoch, filled document by document.
  options_.buffer_rows = expected.size(0);
  options_.batch_tokens = 1;
  ActivationStream stream = Stream();
  EXPECT_EQ(stream.epoch_rows(), expected.size(0));
  const at::Tensor served = stream.Next(expected.size(0));
  EXPECT_EQ(stream.rows_served(), expected.size(0));
  EXPECT_FALSE(at::allclose(served, expected));
  // Every column sorted alone: the same values, up to the arithmetic of another batch.
  EXPECT_TRUE(at::allclose(std::get<0>(served.sort(0)), std::get<0>(expected.sort(0)), 1e-4, 1e-5));
}

TEST_F(ActivationStreamTest, PrefixSeparatorsAndOtherSplitsAreLeftOutAsAsked) {
  for (const bool skip_prefix : {false, true}) {
    for (const bool skip_separators : {false, true}) {
      for (const bool training_split_only : {false, true}) {
        options_.skip_prefix = skip_prefix;
        options_.skip_separators = skip_separators;
        options_.training_split_only = training_split_only;
        EXPECT_EQ(Stream().epoch_rows(), AllRows().size(0));
      }
    }
  }
}

TEST_F(ActivationStreamTest, RowsOfManyBatchesAreAllFromTheCorpus) {
  const at::Tensor known = AllRows();
  ActivationStream stream = Stream();
  for (int64_t i = 0; i < 20; ++i) {
    const at::Tensor rows = stream.Next(90);
    const at::Tensor nearest = std::get<0>(at::cdist(rows, known).min(1));
    EXPECT_LT(nearest.max().item<double>(), 1e-3);
  }
  EXPECT_EQ(stream.rows_served(), 1800);
}

TEST_F(ActivationStreamTest, SameSeedSameRowsOtherSeedOtherRows) {
  ActivationStream first = Stream(), second = Stream();
  for (int64_t i = 0; i < 5; ++i) EXPECT_TRUE(at::equal(first.Next(64), second.Next(64)));
  options_.seed = 9;
  EXPECT_FALSE(at::equal(Stream().Next(64), second.Next(64)));
}

TEST_F(ActivationStreamTest, RestoredStreamGoesOnToTheBit) {
  ActivationStream stream = Stream();
  for (int64_t i = 0; i < 7; ++i) stream.Next(50);
  const auto state = stream.State();
  std::vector<at::Tensor> expected;
  for (int64_t i = 0; i < 12; ++i) expected.push_back(stream.Next(50).clone());

  ActivationStream restored = Stream();
  restored.Restore(state);
  EXPECT_EQ(restored.rows_served(), 350);
  for (const at::Tensor& rows : expected) EXPECT_TRUE(at::equal(restored.Next(50), rows));
}

TEST_F(ActivationStreamTest, StateOfAnotherCorpusIsRefused) {
  auto state = Stream().State();
  state["documents"] = state["documents"] + 1;
  ActivationStream stream = Stream();
  EXPECT_THROW(stream.Restore(state), c10::ValueError);
  state.erase("random");
  EXPECT_THROW(stream.Restore(state), c10::ValueError);
}

TEST_F(ActivationStreamTest, PeekShowsWhatIsServedNext) {
  ActivationStream peeked = Stream(), untouched = Stream();
  const at::Tensor shown = peeked.Peek(120);
  EXPECT_EQ(peeked.rows_served(), 0);
  const at::Tensor rows = peeked.Next(120);
  EXPECT_TRUE(at::equal(shown, rows));
  EXPECT_TRUE(at::equal(rows, untouched.Next(120)));
}

TEST_F(ActivationStreamTest, SitesStandSideBySide) {
  hook_points_.push_back(HookPoint::Parse("blocks.1.mlp.hook_post"));
  const auto other = std::make_shared<const Transformer>(TinyShape(), InitializeWeights(TinyShape(), 4, 1));
  ActivationStream both({{model_, hook_points_}, {other, {hook_points_[0]}, "other:"}}, corpus_, options_);
  ASSERT_EQ(both.sites().size(), 3u);
  EXPECT_EQ(both.sites()[1].name, "blocks.1.mlp.hook_post");
  EXPECT_EQ(both.sites()[2].name, "other:blocks.0.hook_resid_post");
  const int64_t width = both.sites()[0].width, neurons = both.sites()[1].width;
  EXPECT_EQ(neurons, TinyShape().hidden_ff);
  const at::Tensor rows = both.Next(60);
  ASSERT_EQ(rows.size(1), 2 * width + neurons);
  // The first site alone serves the same rows; the second model's are others.
  EXPECT_TRUE(at::allclose(rows.narrow(1, 0, width), Stream().Next(60).narrow(1, 0, width), 1e-5, 1e-6));
  EXPECT_FALSE(at::allclose(rows.narrow(1, 0, width), rows.narrow(1, width + neurons, width), 1e-2, 1e-2));
}

TEST_F(ActivationStreamTest, HookPointsWhoseRowsAreNotTokensAreRefused) {
  for (const char* name : {"blocks.0.attn.hook_kv", "sop.hook_act", "mlm.hook_act"}) {
    hook_points_ = {HookPoint::Parse(name)};
    EXPECT_THROW(Stream(), c10::ValueError) << name;
  }
  hook_points_ = {HookPoint::Parse("blocks.7.hook_resid_post")};
  EXPECT_THROW(Stream(), c10::ValueError);
}

TEST_F(ActivationStreamTest, HeadOutputsAreFlattened) {
  hook_points_ = {HookPoint::Parse("blocks.1.attn.hook_z")};
  EXPECT_EQ(Stream().Next(10).sizes(), (std::vector<int64_t>{10, 16}));
}

}  // namespace
}  // namespace lifescope
