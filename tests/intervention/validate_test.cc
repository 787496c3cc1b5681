#include <c10/util/Exception.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "tests/intervention/refused_run.h"
#include "tests/intervention/small_run.h"

namespace lifescope {
namespace {

class RefusedRun : public ::testing::TestWithParam<Fault> {};

TEST_P(RefusedRun, NamesThePath) { ExpectRefused(GetParam()); }

const Fault kDocumentFaults[] = {
    {"NoDocuments", Kind::kValue, "documents: none, expected at least one", [](Run& r) { r.documents.clear(); }},
    {"EmptyDocument", Kind::kValue, "documents[1]: no positions", [](Run& r) { r.documents[1] = Document(); }},
    {"LongerThanSlots", Kind::kValue, "documents[1]: 31 positions, expected at most n_slots = 30",
     [](Run& r) { r.n_slots = 30; }},
    {"SlotsOverMaximum", Kind::kValue, "n_slots: 49, expected 0", [](Run& r) { r.n_slots = 49; }},
    {"NegativeSlots", Kind::kValue, "n_slots: -1", [](Run& r) { r.n_slots = -1; }},
    {"TokenOutsideVocabulary", Kind::kIndex, "documents[0].token[7]: 40, expected 0 <= token < 40",
     [](Run& r) { r.documents[0].token[7] = 40; }},
    {"NegativeToken", Kind::kIndex, "documents[0].token[2]: -1", [](Run& r) { r.documents[0].token[2] = -1; }},
    {"Segment", Kind::kIndex, "documents[0].segment[2]: 4", [](Run& r) { r.documents[0].segment[2] = 4; }},
    {"UnequalRows", Kind::kValue, "documents[2].age: 8 entries, expected 9",
     [](Run& r) { r.documents[2].age.pop_back(); }},
    {"NullDictionary", Kind::kValue, "dictionaries[0]: null", [](Run& r) { r.dictionaries[0].dictionary.reset(); }},
    {"DictionaryWidth", Kind::kValue, "dictionaries[0]: reads vectors of 16, expected 32, the width of",
     [](Run& r) { r.dictionaries[0].hook_point = Point("blocks.0.mlp.hook_post"); }},
    {"DictionaryPrecision", Kind::kValue, "dictionaries[0]: Double on cpu, expected Float on cpu",
     [](Run& r) { r.dictionaries[0].dictionary = std::make_shared<ReluDictionary>(16, 8, at::kDouble, 1); }},
    {"DictionarySite", Kind::kValue, "dictionaries[0].hook_point: mlm.hook_act, expected a hook point with one row",
     [](Run& r) { r.dictionaries[0].hook_point = Point("mlm.hook_act"); }},
};

const Fault kReadFaults[] = {
    {"NoReads", Kind::kValue, "reads: none", [](Run& r) { r.reads.clear(); }},
    {"ReadSite", Kind::kValue, "reads[0].activation.hook_point: blocks.1.attn.hook_ksum, expected a hook point with",
     [](Run& r) { r.reads[0].kind = ActivationRead{Point("blocks.1.attn.hook_ksum")}; }},
    {"ReadDictionary", Kind::kIndex, "reads[0].features.dictionary: -1",
     [](Run& r) { r.reads[0].kind = FeatureRead{-1}; }},
    {"LogitToken", Kind::kIndex, "reads[0].mlm_logits.tokens[1]: 40",
     [](Run& r) {
       r.reads[0].kind = MlmLogitsRead{{3, 40}};
     }},
    {"TokenA", Kind::kIndex, "reads[0].logit_difference.token_a: -1",
     [](Run& r) {
       r.reads[0].kind = LogitDifferenceRead{-1, 2};
     }},
    {"TokenB", Kind::kIndex, "reads[0].logit_difference.token_b: 41",
     [](Run& r) {
       r.reads[0].kind = LogitDifferenceRead{1, 41};
     }},
    {"ProbabilityToken", Kind::kIndex, "reads[0].log_probability.token: 40",
     [](Run& r) { r.reads[0].kind = LogProbabilityRead{40}; }},
    {"LensOnAContribution", Kind::kValue,
     "reads[0].logit_lens.hook_point: blocks.0.hook_mlp_out, expected a residual stream",
     [](Run& r) {
       r.reads[0].kind = LogitLensRead{Point("blocks.0.hook_mlp_out"), {}};
     }},
    {"LensLayer", Kind::kValue, "reads[0].logit_lens.hook_point: blocks.2.hook_resid_post, expected a hook point of",
     [](Run& r) {
       r.reads[0].kind = LogitLensRead{Point("blocks.2.hook_resid_post"), {}};
     }},
    {"LensToken", Kind::kIndex, "reads[0].logit_lens.tokens[0]: 40",
     [](Run& r) {
       r.reads[0].kind = LogitLensRead{Point("hook_embed"), {40}};
     }},
    {"NoTargets", Kind::kValue, "reads[0].cross_entropy.targets: none",
     [](Run& r) { r.reads[0].kind = CrossEntropyRead{}; }},
    {"TargetToken", Kind::kIndex, "reads[0].cross_entropy.targets[1].token: 40",
     [](Run& r) {
       r.reads[0].kind = CrossEntropyRead{{{1, 2}, {3, 40}}};
     }},
    {"TargetPosition", Kind::kIndex,
     "reads[0].cross_entropy.targets[0].position: 9, expected 0 <= position < 9, the length of documents[2]",
     [](Run& r) {
       r.reads[0].kind = CrossEntropyRead{{{9, 2}}};
     }},
    {"TargetsAndPositions", Kind::kValue, "reads[0].positions: given, expected none",
     [](Run& r) {
       r.reads[0].kind = CrossEntropyRead{{{1, 2}}};
       r.reads[0].positions = At({1});
     }},
    {"DirectTokenA", Kind::kIndex, "reads[0].direct_logit.token_a: 40",
     [](Run& r) {
       r.reads[0].kind = DirectLogitRead{40, {}};
     }},
    {"DirectTokenB", Kind::kIndex, "reads[0].direct_logit.token_b: -1",
     [](Run& r) {
       r.reads[0].kind = DirectLogitRead{3, -1};
     }},
    {"AttentionLayer", Kind::kIndex, "reads[0].attention.layer: 2, expected 0 <= layer < 2",
     [](Run& r) {
       r.reads[0].kind = AttentionRead{2, 0};
     }},
    {"AttentionHead", Kind::kIndex, "reads[0].attention.head: 4, expected 0 <= head < 4",
     [](Run& r) {
       r.reads[0].kind = AttentionRead{1, 4};
     }},
    {"ShiftOfKeySums", Kind::kValue, "reads[0].shift.hook_point: blocks.1.attn.hook_ksum, expected a hook point with",
     [](Run& r) { r.reads[0].kind = ShiftRead{Point("blocks.1.attn.hook_ksum")}; }},
    {"ChangeDictionary", Kind::kIndex, "reads[0].feature_change.dictionary: 1",
     [](Run& r) {
       r.reads[0].kind = FeatureChangeRead{1, 0};
     }},
    {"NegativeThreshold", Kind::kValue, "reads[0].feature_change.threshold: -1, expected 0 or more",
     [](Run& r) {
       r.reads[0].kind = FeatureChangeRead{0, -1};
     }},
    {"NoThreshold", Kind::kValue, "reads[0].feature_change.threshold: nan",
     [](Run& r) {
       r.reads[0].kind = FeatureChangeRead{0, std::nan("")};
     }},
    {"ErrorDictionary", Kind::kIndex, "reads[0].reconstruction_error.dictionary: 3",
     [](Run& r) { r.reads[0].kind = ReconstructionErrorRead{3}; }},
    {"ErrorOfATranscoder", Kind::kValue, "reads[0].reconstruction_error.dictionary: a transcoder",
     [](Run& r) {
       r.dictionaries[0].is_transcoder = true;
       r.reads[0].kind = ReconstructionErrorRead{0};
     }},
    {"ReadDocument", Kind::kIndex, "reads[0].documents[0]: -1", [](Run& r) { r.reads[0].documents = {-1}; }},
    {"ReadPosition", Kind::kIndex,
     "reads[0].positions.indices[0]: 20, expected 0 <= position < 20, the length of documents[0]",
     [](Run& r) { r.reads[0].positions = At({20}); }},
};

std::string NameOf(const ::testing::TestParamInfo<Fault>& info) { return info.param.name; }

INSTANTIATE_TEST_SUITE_P(Documents, RefusedRun, ::testing::ValuesIn(kDocumentFaults), NameOf);
INSTANTIATE_TEST_SUITE_P(Reads, RefusedRun, ::testing::ValuesIn(kReadFaults), NameOf);

TEST(ValidateRun, DictionaryOverHeadsReadsThemFlattened) {
  lifescope::Run run = ValidRun();
  run.dictionaries[0].hook_point = Point("blocks.0.attn.hook_z");
  EXPECT_NO_THROW(ValidateRun(run, SmallModel()));
}

TEST(ValidateRun, FeaturesOfATranscoderCanBeRead) {
  lifescope::Run run = SmallRun();
  run.dictionaries[0].is_transcoder = true;
  run.reads.resize(1);
  run.reads[0].kind = FeatureRead{0};
  EXPECT_NO_THROW(ValidateRun(run, SmallModel()));
}

TEST(ValidateRun, DocumentsThatAnEditDoesNotCoverMayBeShorter) {
  lifescope::Run run = ValidRun();
  FirstEdit(run).documents = {1};
  FirstEdit(run).positions = At({30});
  EXPECT_NO_THROW(ValidateRun(run, SmallModel()));
}

TEST(ValidateRun, AModelWithoutHeadsHasActivationsAndNoLogits) {
  Hyperparameters hyperparameters = SmallModel().hyperparameters();
  hyperparameters.pretraining_heads = false;
  Weights weights = SmallModel().weights();
  weights.mlm = {};
  weights.sop = {};
  const Transformer encoder(hyperparameters, weights);
  lifescope::Run run = SmallRun();
  const int64_t read = AddActivationRead(&run, "blocks.1.hook_resid_post");
  EXPECT_TRUE(
      SameBits(TensorOf(Execute(run, encoder).clean[0], read), TensorOf(Execute(run, SmallModel()).clean[0], read)));
  for (const ReadKind& kind :
       {ReadKind(MlmLogitsRead{}), ReadKind(LogitDifferenceRead{1, 2}), ReadKind(LogProbabilityRead{1}),
        ReadKind(KlToCleanRead{}), ReadKind(SopLogitsRead{}), ReadKind(LogitLensRead{Point("hook_embed"), {}}),
        ReadKind(CrossEntropyRead{{{1, 2}}}), ReadKind(DirectLogitRead{1, {}})}) {
    run.reads[0].kind = kind;
    try {
      ValidateRun(run, encoder);
      FAIL() << "was not refused";
    } catch (const c10::ValueError& error) {
      EXPECT_THAT(error.what_without_backtrace(), ::testing::HasSubstr(": the model has no masked-token"));
    }
  }
}

TEST(Execute, RefusesBatchesWithoutTokens) {
  ExecuteOptions options;
  options.batch_tokens = 0;
  EXPECT_THROW(Execute(ValidRun(), SmallModel(), options), c10::ValueError);
}

}  // namespace
}  // namespace lifescope
