// Faults of interventions.
#include <gtest/gtest.h>

#include <cmath>

#include "tests/intervention/refused_run.h"
#include "tests/intervention/small_run.h"

namespace lifescope {
namespace {

class RefusedIntervention : public ::testing::TestWithParam<Fault> {};

TEST_P(RefusedIntervention, NamesThePath) { ExpectRefused(GetParam()); }

const Fault kTargetFaults[] = {
    {"EdgeLayer", Kind::kIndex, "interventions[0].edits[0].edges.layer: 2, expected 0 <= layer < 2",
     [](Run& r) {
       FirstEdit(r).target = EdgeTarget{2, 0, {}};
     }},
    {"EdgeHead", Kind::kIndex, "interventions[0].edits[0].edges.head: 4, expected 0 <= head < 4",
     [](Run& r) {
       FirstEdit(r).target = EdgeTarget{1, 4, {}};
     }},
    {"EdgeKeys", Kind::kIndex, "interventions[0].edits[0].edges.keys.indices[0]: 9, expected 0 <= position < 9",
     [](Run& r) {
       FirstEdit(r).target = EdgeTarget{1, 0, At({9})};
     }},
    {"EdgeMode", Kind::kValue, "interventions[0].edits[0].edges: with another mode, expected zero or scale",
     [](Run& r) {
       FirstEdit(r).target = EdgeTarget{1, 0, {}};
       FirstEdit(r).mode = Mean{{0}};
     }},
    {"EdgeFactor", Kind::kValue, "interventions[0].edits[0].scale.factor: -1, expected 0 or more",
     [](Run& r) {
       FirstEdit(r).target = EdgeTarget{1, 0, {}};
       FirstEdit(r).mode = Scale{-1};
     }},
    {"NoEdits", Kind::kValue, "interventions[1].edits: none",
     [](Run& r) {
       r.interventions.push_back({"x", {}});
     }},
    {"UnknownLayer", Kind::kValue, "interventions[0].edits[0].activation.hook_point: blocks.2.hook_resid_post",
     [](Run& r) { FirstEdit(r).target = ActivationTarget{Point("blocks.2.hook_resid_post")}; }},
    {"DocumentSite", Kind::kValue, "interventions[0].edits[0].activation.hook_point: blocks.0.attn.hook_kv",
     [](Run& r) { FirstEdit(r).target = ActivationTarget{Point("blocks.0.attn.hook_kv")}; }},
    {"KeySumSite", Kind::kValue, "interventions[0].edits[0].activation.hook_point: blocks.0.attn.hook_ksum",
     [](Run& r) { FirstEdit(r).target = ActivationTarget{Point("blocks.0.attn.hook_ksum")}; }},
    {"WindowSite", Kind::kValue, "interventions[0].edits[0].activation.hook_point: blocks.0.attn.hook_pattern_local",
     [](Run& r) { FirstEdit(r).target = ActivationTarget{Point("blocks.0.attn.hook_pattern_local")}; }},
    {"MlmSite", Kind::kValue, "interventions[0].edits[0].activation.hook_point: mlm.hook_normed",
     [](Run& r) { FirstEdit(r).target = ActivationTarget{Point("mlm.hook_normed")}; }},
    {"SopSite", Kind::kValue, "interventions[0].edits[0].activation.hook_point: sop.hook_act",
     [](Run& r) { FirstEdit(r).target = ActivationTarget{Point("sop.hook_act")}; }},
    {"HeadLayer", Kind::kIndex, "interventions[0].edits[0].head.layer: 2, expected 0 <= layer < 2",
     [](Run& r) {
       FirstEdit(r).target = HeadTarget{2, 0};
     }},
    {"Head", Kind::kIndex, "interventions[0].edits[0].head.head: 4, expected 0 <= head < 4",
     [](Run& r) {
       FirstEdit(r).target = HeadTarget{1, 4};
     }},
    {"NeuronLayer", Kind::kIndex, "interventions[0].edits[0].neurons.layer: -1",
     [](Run& r) {
       FirstEdit(r).target = NeuronTarget{-1, {0}};
     }},
    {"FeaturesOfATranscoder", Kind::kValue, "interventions[0].edits[0].features.dictionary: a transcoder",
     [](Run& r) {
       FirstEdit(r).target = FeatureTarget{0, {1}};
       r.dictionaries[0].is_transcoder = true;
     }},
    {"NoNeurons", Kind::kValue, "interventions[0].edits[0].neurons.neurons: none",
     [](Run& r) {
       FirstEdit(r).target = NeuronTarget{0, {}};
     }},
    {"Neuron", Kind::kIndex, "interventions[0].edits[0].neurons.neurons[1]: 32",
     [](Run& r) {
       FirstEdit(r).target = NeuronTarget{0, {3, 32}};
     }},
    {"NeuronTwice", Kind::kValue, "interventions[0].edits[0].neurons.neurons[1]: neuron 3 twice",
     [](Run& r) {
       FirstEdit(r).target = NeuronTarget{0, {3, 3}};
     }},
    {"Dictionary", Kind::kIndex, "interventions[0].edits[0].features.dictionary: 1",
     [](Run& r) {
       FirstEdit(r).target = FeatureTarget{1, {0}};
     }},
    {"NoFeatures", Kind::kValue, "interventions[0].edits[0].features.features: none",
     [](Run& r) {
       FirstEdit(r).target = FeatureTarget{0, {}};
     }},
    {"Feature", Kind::kIndex, "interventions[0].edits[0].features.features[2]: 24, expected 0 <= feature < 24",
     [](Run& r) {
       FirstEdit(r).target = FeatureTarget{0, {1, 2, 24}};
     }},
    {"HeadSite", Kind::kValue, "interventions[0].edits[0].head.site: blocks.1.hook_resid_post, expected hook_z",
     [](Run& r) {
       FirstEdit(r).target = HeadTarget{1, 0, Site::kResidPost};
     }},
    {"DirectionSite", Kind::kValue, "interventions[0].edits[0].direction.hook_point: blocks.1.attn.hook_kv",
     [](Run& r) {
       FirstEdit(r).target = DirectionTarget{Point("blocks.1.attn.hook_kv"), {1}};
     }},
    {"DirectionWidth", Kind::kValue, "interventions[0].edits[0].direction.vector: 3 values, expected 16",
     [](Run& r) {
       FirstEdit(r).target = DirectionTarget{Point("hook_embed"), {1, 2, 3}};
     }},
    {"DirectionWithoutLength", Kind::kValue, "interventions[0].edits[0].direction.vector: its squares sum to 0",
     [](Run& r) {
       FirstEdit(r).target = DirectionTarget{Point("hook_embed"), std::vector<double>(16, 0)};
     }},
    {"NanInDirection", Kind::kValue, "interventions[0].edits[0].direction.vector[0]: nan",
     [](Run& r) {
       FirstEdit(r).target = DirectionTarget{Point("hook_embed"), std::vector<double>(16, NAN)};
     }},
    {"ErrorDictionary", Kind::kIndex, "interventions[0].edits[0].error.dictionary: 4",
     [](Run& r) { FirstEdit(r).target = ErrorTarget{4}; }},
    {"ErrorOfATranscoder", Kind::kValue, "interventions[0].edits[0].error.dictionary: a transcoder",
     [](Run& r) {
       FirstEdit(r).target = ErrorTarget{0};
       r.dictionaries[0].is_transcoder = true;
     }},
    {"FrozenErrorOfAnErrorTarget", Kind::kValue, "interventions[0].edits[0].error_mode: FROZEN_ERROR, expected none",
     [](Run& r) {
       FirstEdit(r).target = ErrorTarget{0};
       FirstEdit(r).error_mode = ErrorMode::kFrozenError;
     }},
    {"ConditionOfEdges", Kind::kValue, "interventions[0].edits[0].condition: given, expected none",
     [](Run& r) {
       FirstEdit(r).target = EdgeTarget{1, 0, {}};
       FirstEdit(r).condition = Condition{0, 0, 0};
     }},
    {"ConditionDictionary", Kind::kIndex, "interventions[0].edits[0].condition.dictionary: 1",
     [](Run& r) {
       FirstEdit(r).condition = Condition{1, 0, 0};
     }},
    {"ConditionFeature", Kind::kIndex, "interventions[0].edits[0].condition.feature: 24, expected 0 <= feature < 24",
     [](Run& r) {
       FirstEdit(r).condition = Condition{0, 24, 0};
     }},
    {"ConditionBound", Kind::kValue, "interventions[0].edits[0].condition.above: nan",
     [](Run& r) {
       FirstEdit(r).condition = Condition{0, 2, NAN};
     }},
    {"FilterToken", Kind::kIndex, "interventions[0].edits[0].positions.tokens[1]: 40, expected 0 <= token < 40",
     [](Run& r) {
       FirstEdit(r).positions.tokens = {3, 40};
     }},
    {"ErrorModeWithoutFeatures", Kind::kValue, "interventions[0].edits[0].error_mode: REPLACE",
     [](Run& r) { FirstEdit(r).error_mode = ErrorMode::kReplace; }},
    {"EditedDocument", Kind::kIndex, "interventions[0].edits[0].documents[1]: 3, expected 0 <= document < 3",
     [](Run& r) {
       FirstEdit(r).documents = {0, 3};
     }},
    {"EditedDocumentTwice", Kind::kValue, "interventions[0].edits[0].documents[1]: document 0 twice",
     [](Run& r) {
       FirstEdit(r).documents = {0, 0};
     }},
    {"EditedPosition", Kind::kIndex,
     "interventions[0].edits[0].positions.indices[1]: 9, expected 0 <= position < 9, the length of documents[2]",
     [](Run& r) {
       FirstEdit(r).positions = At({0, 9});
     }},
};

const Fault kModeFaults[] = {
    {"NoMeanDocuments", Kind::kValue, "interventions[0].edits[0].mean.documents: none",
     [](Run& r) { FirstEdit(r).mode = Mean{}; }},
    {"MeanDocument", Kind::kIndex, "interventions[0].edits[0].mean.documents[0]: 3",
     [](Run& r) { FirstEdit(r).mode = Mean{{3}}; }},
    {"NoValues", Kind::kValue, "interventions[0].edits[0].set.values: 0 values, expected 1 or 2",
     [](Run& r) { FirstEdit(r).mode = SetTo{}; }},
    {"ThreeValues", Kind::kValue, "interventions[0].edits[0].add.values: 3 values, expected 1 or 2",
     [](Run& r) {
       FirstEdit(r).mode = Add{{1, 2, 3}};
     }},
    {"InfiniteValue", Kind::kValue, "interventions[0].edits[0].set.values[1]: inf, expected a finite number",
     [](Run& r) {
       FirstEdit(r).mode = SetTo{{1, INFINITY}};
     }},
    {"OverflowingValue", Kind::kValue, "interventions[0].edits[0].set.values[0]: 1e+39",
     [](Run& r) { FirstEdit(r).mode = SetTo{{1e39}}; }},
    {"NanFactor", Kind::kValue, "interventions[0].edits[0].scale.factor: nan",
     [](Run& r) { FirstEdit(r).mode = Scale{NAN}; }},
    {"CapValues", Kind::kValue, "interventions[0].edits[0].cap.values: 3 values, expected 1 or 2",
     [](Run& r) {
       FirstEdit(r).mode = Cap{{1, 2, 3}};
     }},
    {"FloorValues", Kind::kValue, "interventions[0].edits[0].floor.values[0]: inf",
     [](Run& r) { FirstEdit(r).mode = Floor{{INFINITY}}; }},
    {"ValuesOfADirection", Kind::kValue, "interventions[0].edits[0].set.values: 16 values, expected 1 or 1",
     [](Run& r) {
       FirstEdit(r).target = DirectionTarget{Point("hook_embed"), std::vector<double>(16, 1)};
       FirstEdit(r).mode = SetTo{std::vector<double>(16, 1)};
     }},
    {"NoResampleDocuments", Kind::kValue, "interventions[0].edits[0].resample.documents: none",
     [](Run& r) { FirstEdit(r).mode = Resample{}; }},
    {"ResampleDocumentTwice", Kind::kValue, "interventions[0].edits[0].resample.documents[1]: document 2 twice",
     [](Run& r) {
       FirstEdit(r).mode = Resample{{2, 2}, 0};
     }},
    {"UnitWithoutValues", Kind::kValue, "interventions[0].edits[0].unit: given, expected none: it is for set, add",
     [](Run& r) {
       FirstEdit(r).unit = {Unit::Kind::kMaximum, 0, {1}};
     }},
    {"UnitWithoutDocuments", Kind::kValue, "interventions[0].edits[0].unit.documents: none",
     [](Run& r) {
       FirstEdit(r).mode = SetTo{{1}};
       FirstEdit(r).unit = {Unit::Kind::kMaximum, 0, {}};
     }},
    {"UnitDocument", Kind::kIndex, "interventions[0].edits[0].unit.documents[0]: 7",
     [](Run& r) {
       FirstEdit(r).mode = SetTo{{1}};
       FirstEdit(r).unit = {Unit::Kind::kMaximum, 0, {7}};
     }},
    {"UnitQuantile", Kind::kValue, "interventions[0].edits[0].unit.quantile: 1.5, expected 0 to 1",
     [](Run& r) {
       FirstEdit(r).mode = SetTo{{1}};
       FirstEdit(r).unit = {Unit::Kind::kQuantile, 1.5, {0}};
     }},
    {"DonorFilterToken", Kind::kIndex, "interventions[0].edits[0].donor.positions.tokens[0]: -1",
     [](Run& r) {
       Donor donor{1, {}};
       donor.positions.tokens = {-1};
       FirstEdit(r).mode = donor;
     }},
    {"DonorDocument", Kind::kIndex, "interventions[0].edits[0].donor.document: 3",
     [](Run& r) {
       FirstEdit(r).mode = Donor{3, {}};
     }},
    {"DonorPosition", Kind::kIndex, "interventions[0].edits[0].donor.positions.indices[0]: 9",
     [](Run& r) {
       FirstEdit(r).positions = At({4});
       FirstEdit(r).mode = Donor{2, At({9})};
     }},
    {"DonorTooShort", Kind::kIndex,
     "interventions[0].edits[0].donor.document: documents[2] has 9 positions, expected one at the edit's position 15",
     [](Run& r) {
       FirstEdit(r).documents = {1};
       FirstEdit(r).positions = At({4, 15});
       FirstEdit(r).mode = Donor{2, {}};
     }},
    {"DonorCount", Kind::kValue, "interventions[0].edits[0].donor.positions: 1 positions, expected 2",
     [](Run& r) {
       FirstEdit(r).positions = At({4, 5});
       FirstEdit(r).mode = Donor{2, At({4})};
     }},
    {"PairedPositionTwice", Kind::kValue, "interventions[0].edits[0].positions: position 4 twice",
     [](Run& r) {
       FirstEdit(r).positions = At({4, 4});
       FirstEdit(r).mode = Donor{2, At({5, 6})};
     }},
};

void EditDocument(Run& run, DocumentChange change, std::vector<int64_t> documents = {1}) {
  run.interventions[0].document_edits.push_back({std::move(change), std::move(documents)});
}

const Fault kDocumentEditFaults[] = {
    {"Document", Kind::kIndex, "interventions[0].document_edits[0].documents[0]: 3",
     [](Run& r) { EditDocument(r, HideBackground{}, {3}); }},
    {"DeletedPrefix", Kind::kIndex, "interventions[0].document_edits[0].delete_event.event: 0, expected 1 <= event",
     [](Run& r) { EditDocument(r, DeleteEvent{0}); }},
    {"PaddedEvent", Kind::kIndex, "interventions[0].document_edits[1].pad_event.event: 99, expected 1 <= event",
     [](Run& r) {
       EditDocument(r, HideBackground{});
       EditDocument(r, PadEvent{99});
     }},
    {"DeletedTwice", Kind::kValue,
     "interventions[0].document_edits[1].pad_event.event: 2, expected an event of documents[1] that is still there",
     [](Run& r) {
       EditDocument(r, DeleteEvent{2});
       EditDocument(r, PadEvent{2});
     }},
    {"TokenCount", Kind::kValue, "interventions[0].document_edits[0].replace_tokens.tokens: 2 tokens, expected 1 or 3",
     [](Run& r) {
       EditDocument(r, ReplaceTokens{At({4, 5, 6}), {10, 11}});
     }},
    {"NoTokens", Kind::kValue, "interventions[0].document_edits[0].replace_tokens.tokens: 0 tokens",
     [](Run& r) {
       EditDocument(r, ReplaceTokens{At({4}), {}});
     }},
    {"ReplacingToken", Kind::kIndex, "interventions[0].document_edits[0].replace_tokens.tokens[0]: 40",
     [](Run& r) {
       EditDocument(r, ReplaceTokens{At({4}), {40}});
     }},
    {"ReplacedPosition", Kind::kIndex,
     "interventions[0].document_edits[0].replace_tokens.positions.indices[0]: 31, expected 0 <= position < 31, the "
     "length of documents[1]",
     [](Run& r) {
       EditDocument(r, ReplaceTokens{At({31}), {10}});
     }},
    {"NegativeAge", Kind::kValue,
     "interventions[0].document_edits[0].shift_time.years: -40 takes position 4 of documents[1] to age -19",
     [](Run& r) {
       EditDocument(r, ShiftTime{{}, 0, -40});
     }},
    {"ScopeWithoutAnEvent", Kind::kValue,
     "interventions[0].scope: given, expected none: document_edits[1].pad_event takes positions away",
     [](Run& r) {
       EditDocument(r, HideBackground{});
       EditDocument(r, PadEvent{2});
       r.interventions[0].scope = Scope::kFreezePatterns;
     }},
    {"DirectScopeOfADeletedEvent", Kind::kValue,
     "interventions[0].scope: given, expected none: document_edits[0].delete_event takes positions away",
     [](Run& r) {
       EditDocument(r, DeleteEvent{2});
       r.interventions[0].scope = Scope::kDirect;
     }},
    {"DateOverflow", Kind::kValue, "interventions[0].document_edits[0].shift_time.days: 2147483647 takes position 4",
     [](Run& r) {
       EditDocument(r, ShiftTime{{}, 2147483647, 0});
     }},
};

std::string NameOf(const ::testing::TestParamInfo<Fault>& info) { return info.param.name; }

INSTANTIATE_TEST_SUITE_P(Targets, RefusedIntervention, ::testing::ValuesIn(kTargetFaults), NameOf);
INSTANTIATE_TEST_SUITE_P(Modes, RefusedIntervention, ::testing::ValuesIn(kModeFaults), NameOf);
INSTANTIATE_TEST_SUITE_P(DocumentEdits, RefusedIntervention, ::testing::ValuesIn(kDocumentEditFaults), NameOf);

}  // namespace
}  // namespace lifescope
