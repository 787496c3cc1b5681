// Counterfactual documents: what each edit makes of a document, and runs of them.
#include "server/intervention/document_edit.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>

#include "server/model/padded_reference.h"
#include "tests/intervention/small_run.h"

namespace lifescope {
namespace {

using ::testing::ElementsAre;

constexpr char kPoint[] = "blocks.1.hook_resid_post", kFinal[] = "blocks.3.hook_resid_post";
constexpr double kNear = 1e-12;

// [CLS] 12 13 [SEP] | 20 21 [SEP] | 22 [SEP] | 23 24 [SEP]
Document ThreeEvents() {
  Document d;
  d.token = {1, 12, 13, 2, 20, 21, 2, 22, 2, 23, 24, 2};
  d.event = {0, 0, 0, 0, 1, 1, 1, 2, 2, 3, 3, 3};
  d.abspos = {0, 0, 0, 0, 100, 100, 100, 200, 200, 300, 300, 300};
  d.age = {0, 0, 0, 0, 30, 30, 30, 40, 40, 50, 50, 50};
  d.segment = {1, 1, 1, 1, 2, 2, 2, 3, 3, 1, 1, 1};
  return d;
}

DocumentVariant Apply(std::vector<DocumentChange> changes) {
  std::vector<DocumentEdit> edits;
  for (DocumentChange& change : changes) edits.push_back({std::move(change), {}});
  return ApplyDocumentEdits(ThreeEvents(), edits, 0, "document_edits");
}

TEST(DocumentEdits, DeleteMovesLaterEventsUpAndPassesSegmentsOn) {
  const DocumentVariant v = Apply({DeleteEvent{1}});
  EXPECT_THAT(v.document.token, ElementsAre(1, 12, 13, 2, 22, 2, 23, 24, 2));
  EXPECT_THAT(v.document.abspos, ElementsAre(0, 0, 0, 0, 200, 200, 300, 300, 300));
  EXPECT_THAT(v.document.age, ElementsAre(0, 0, 0, 0, 40, 40, 50, 50, 50));
  EXPECT_THAT(v.document.segment, ElementsAre(1, 1, 1, 1, 2, 2, 3, 3, 3));
  EXPECT_THAT(v.document.event, ElementsAre(0, 0, 0, 0, 2, 2, 3, 3, 3));
  EXPECT_THAT(v.slot, ElementsAre(0, 1, 2, 3, 4, 5, 6, 7, 8));
  EXPECT_THAT(v.original, ElementsAre(0, 1, 2, 3, 7, 8, 9, 10, 11));
  EXPECT_EQ(v.RowOf(5), -1);
  EXPECT_EQ(v.RowOf(9), 6);
}

TEST(DocumentEdits, PadLeavesAHole) {
  const DocumentVariant v = Apply({PadEvent{2}});
  EXPECT_THAT(v.document.token, ElementsAre(1, 12, 13, 2, 20, 21, 2, 23, 24, 2));
  EXPECT_THAT(v.document.segment, ElementsAre(1, 1, 1, 1, 2, 2, 2, 1, 1, 1));
  EXPECT_THAT(v.slot, ElementsAre(0, 1, 2, 3, 4, 5, 6, 9, 10, 11));
  EXPECT_THAT(v.original, ElementsAre(0, 1, 2, 3, 4, 5, 6, 9, 10, 11));
}

TEST(DocumentEdits, ApplyInListOrderToEventsOfTheOriginal) {
  const DocumentVariant v = Apply({PadEvent{2}, DeleteEvent{1}});
  EXPECT_THAT(v.document.token, ElementsAre(1, 12, 13, 2, 23, 24, 2));
  EXPECT_THAT(v.document.segment, ElementsAre(1, 1, 1, 1, 3, 3, 3));
  EXPECT_THAT(Apply({DeleteEvent{1}, PadEvent{2}}).document.segment, ElementsAre(1, 1, 1, 1, 3, 3, 3));
  EXPECT_THAT(v.slot, ElementsAre(0, 1, 2, 3, 6, 7, 8));
  EXPECT_THAT(v.original, ElementsAre(0, 1, 2, 3, 9, 10, 11));
  EXPECT_THAT(Apply({DeleteEvent{3}, DeleteEvent{1}, DeleteEvent{2}}).document.token, ElementsAre(1, 12, 13, 2));
}

TEST(DocumentEdits, ReplaceTakesOneTokenOrOnePerPosition) {
  Positions positions = At({10, 4});
  EXPECT_THAT(Apply({ReplaceTokens{positions, {3}}}).document.token,
              ElementsAre(1, 12, 13, 2, 3, 21, 2, 22, 2, 23, 3, 2));
  EXPECT_THAT(Apply({ReplaceTokens{positions, {30, 31}}}).document.token,
              ElementsAre(1, 12, 13, 2, 31, 21, 2, 22, 2, 23, 30, 2));
  EXPECT_THAT(Apply({DeleteEvent{1}, ReplaceTokens{positions, {30, 31}}}).document.token,
              ElementsAre(1, 12, 13, 2, 22, 2, 23, 30, 2));
}

TEST(DocumentEdits, ShiftMovesDatesAndAgesButNotThePrefix) {
  Positions events;
  events.events = {0, 1, 3};
  const DocumentVariant v = Apply({ShiftTime{events, -7, 2}});
  EXPECT_THAT(v.document.abspos, ElementsAre(0, 0, 0, 0, 93, 93, 93, 200, 200, 293, 293, 293));
  EXPECT_THAT(v.document.age, ElementsAre(0, 0, 0, 0, 32, 32, 32, 40, 40, 52, 52, 52));
  EXPECT_THAT(v.document.token, ::testing::ElementsAreArray(ThreeEvents().token));
}

TEST(DocumentEdits, HideLeavesTheEndsOfThePrefix) {
  EXPECT_THAT(Apply({HideBackground{}}).document.token, ElementsAre(1, 9, 9, 2, 20, 21, 2, 22, 2, 23, 24, 2));
}

// Adds an intervention of document edits, and edits, of document 1.
void AddDocumentEdits(lifescope::Run* run, std::vector<DocumentChange> changes, std::vector<Edit> edits = {}) {
  for (Edit& edit : edits) edit.documents = {1};
  AddIntervention(run, std::move(edits));
  for (DocumentChange& change : changes) {
    run->interventions.back().document_edits.push_back({std::move(change), {1}});
  }
}

const DocumentResult& Edited(const RunResult& result, size_t intervention = 0) {
  return result.interventions.at(intervention).documents.at(0);
}

// Positions of an event of document 1, and the others.
struct Places {
  std::vector<int64_t> event, others;
};
Places PlacesOf(const lifescope::Run& run, int32_t event) {
  Places places;
  for (int64_t position = 0; position < run.documents[1].length(); ++position) {
    (run.documents[1].event[position] == event ? places.event : places.others).push_back(position);
  }
  return places;
}

at::Tensor Pick(const at::Tensor& rows, const std::vector<int64_t>& index) {
  return rows.index_select(0, at::tensor(index, at::kLong));
}

// Five questions, five answers.
TEST(DocumentEditRun, EveryEditGivesAnotherResult) {
  lifescope::Run run = DeepRun();
  const int64_t read = AddRead(&run, ActivationRead{Point(kFinal)}, At({0}));
  const Places places = PlacesOf(run, 2);
  AddDocumentEdits(&run, {DeleteEvent{2}});
  AddDocumentEdits(&run, {PadEvent{2}});
  AddDocumentEdits(&run, {ReplaceTokens{At(places.event), {3}}});
  AddDocumentEdits(&run, {ShiftTime{At(places.event), 4000, 9}});
  AddDocumentEdits(&run, {HideBackground{}});
  const RunResult result = Execute(run, DeepModel());
  std::vector<at::Tensor> finals = {TensorOf(result.clean[1], read)};
  for (size_t i = 0; i < 5; ++i) finals.push_back(TensorOf(Edited(result, i), read));
  for (size_t a = 0; a < finals.size(); ++a) {
    for (size_t b = 0; b < a; ++b) EXPECT_GT((finals[a] - finals[b]).abs().max().item<double>(), 1e-6) << a << " " << b;
  }
}

TEST(DocumentEditRun, EqualsARunOfTheDocumentWrittenOut) {
  lifescope::Run run = DeepRun();
  const int64_t read = AddActivationRead(&run, kFinal);
  const Places places = PlacesOf(run, 2);
  AddDocumentEdits(&run, {DeleteEvent{2}});
  AddDocumentEdits(&run, {ReplaceTokens{At(places.event), {3}}, HideBackground{}});
  const RunResult result = Execute(run, DeepModel());

  Document without, replaced = run.documents[1];
  without.person_id = 2;
  const auto& d = run.documents[1];
  const auto segment_of = [&](int32_t event) {
    return d.segment[std::find(d.event.begin(), d.event.end(), event) - d.event.begin()];
  };
  for (const int64_t position : places.others) {
    without.token.push_back(d.token[position]);
    without.abspos.push_back(d.abspos[position]);
    without.age.push_back(d.age[position]);
    without.event.push_back(d.event[position] - (d.event[position] > 2));
    without.segment.push_back(segment_of(d.event[position] - (d.event[position] > 2)));
  }
  for (const int64_t position : places.event) replaced.token[position] = 3;
  replaced.token[1] = replaced.token[2] = kUnk;
  lifescope::Run written = DeepRun();
  written.documents = {without, replaced};
  AddActivationRead(&written, kFinal);
  const RunResult expected = Execute(written, DeepModel());
  EXPECT_TRUE(SameBits(Pick(TensorOf(Edited(result), read), places.others), TensorOf(expected.clean[0], 0)));
  EXPECT_TRUE(SameBits(TensorOf(Edited(result, 1), read), TensorOf(expected.clean[1], 0)));
}

// An event that is padded in place, as the publication runs it: slots without a token, and a mask that is false there.
TEST(DocumentEditRun, PadEqualsTheMaskedReference) {
  lifescope::Run run = DeepRun();
  const int64_t read = AddActivationRead(&run, kFinal);
  AddDocumentEdits(&run, {PadEvent{2}});
  const Places places = PlacesOf(run, 2);
  const Document& d = run.documents[1];
  PaddedBatch padded{at::zeros({1, 4, 48}, at::kLong), at::zeros({1, 48}, at::kBool)};
  for (const int64_t position : places.others) {
    padded.input_ids[0][0][position] = d.token[position];
    padded.input_ids[0][1][position] = d.abspos[position];
    padded.input_ids[0][2][position] = d.age[position];
    padded.input_ids[0][3][position] = d.segment[position];
    padded.mask[0][position] = true;
  }
  const Hyperparameters& h = DeepModel().hyperparameters();
  const at::Tensor expected = PaddedReference(ToStateDict(DeepModel().weights(), h), h).Forward(padded)[0];
  for (const bool deterministic : {true, false}) {
    run.deterministic = deterministic;
    const at::Tensor edited = TensorOf(Edited(Execute(run, DeepModel())), read);
    ExpectNear(Pick(edited, places.others), Pick(expected, places.others), 1e-9);
    EXPECT_TRUE(Pick(edited, places.event).isnan().all().item<bool>());
  }
}

TEST(DocumentEditRun, NoChangeIsTheIdentityBitForBit) {
  lifescope::Run run = DeepRun();
  const int64_t read = AddActivationRead(&run, kFinal);
  AddDocumentEdits(&run, {ReplaceTokens{At({5}), {run.documents[1].token[5]}}, ShiftTime{}});
  const RunResult result = Execute(run, DeepModel());
  EXPECT_TRUE(SameBits(TensorOf(Edited(result), read), TensorOf(result.clean[1], read)));
  EXPECT_EQ(Edited(result).document, 1);
  EXPECT_EQ(result.interventions[0].documents.size(), 1U);
}

TEST(DocumentEditRun, EditsNamePositionsOfTheOriginalAndPassOverThoseThatAreGone) {
  lifescope::Run run = DeepRun();
  const int64_t read = AddActivationRead(&run, kPoint);
  const Places places = PlacesOf(run, 2);
  const int64_t gone = places.event[0], later = places.event.back() + 2;
  const EditTarget target = ActivationTarget{Point(kPoint)};
  AddDocumentEdits(&run, {DeleteEvent{2}});
  AddDocumentEdits(&run, {DeleteEvent{2}}, {MakeEdit(target, SetTo{{7}}, At({gone, later}))});
  AddDocumentEdits(&run, {DeleteEvent{2}}, {MakeEdit(target, Donor{0, At({3, 5})}, At({gone, later}))});
  AddDocumentEdits(&run, {DeleteEvent{2}}, {MakeEdit(target, SetTo{{7}}, At({gone}))});
  const RunResult result = Execute(run, DeepModel());
  const at::Tensor deleted = TensorOf(Edited(result), read);
  const auto with_later = [&](const at::Tensor& row) {
    at::Tensor expected = deleted.clone();
    expected[later].copy_(row);
    return expected;
  };
  const at::Tensor donor = TensorOf(result.clean[0], read)[5];
  EXPECT_TRUE(SameBits(Pick(TensorOf(Edited(result, 1), read), places.others),
                       Pick(with_later(at::full({16}, 7, at::kDouble)), places.others)));
  EXPECT_TRUE(SameBits(Pick(TensorOf(Edited(result, 2), read), places.others), Pick(with_later(donor), places.others)));
  EXPECT_TRUE(SameBits(Pick(TensorOf(Edited(result, 3), read), places.others), Pick(deleted, places.others)));
}

TEST(DocumentEditRun, FrozenErrorsAndConditionsAreThoseOfTheSamePositionInTheCleanRun) {
  lifescope::Run run = DeepRun();
  const int64_t read = AddActivationRead(&run, kPoint);
  const Places places = PlacesOf(run, 2);
  AddDocumentEdits(&run, {DeleteEvent{2}});
  Edit frozen = MakeEdit(FeatureTarget{0, {3}}, SetTo{{4}});
  frozen.error_mode = ErrorMode::kFrozenError;
  frozen.condition = Condition{0, 5, 0};
  AddDocumentEdits(&run, {DeleteEvent{2}}, {frozen});
  const RunResult result = Execute(run, DeepModel());
  const at::Tensor x = TensorOf(Edited(result), read), clean = TensorOf(result.clean[1], read);
  const ReluDictionary& dictionary = DeepDictionary();
  const at::Tensor f = dictionary.Encode(x).clone(), clean_f = dictionary.Encode(clean);
  f.select(1, 3).fill_(4);
  const at::Tensor replaced = dictionary.Decode(f, x) + clean - dictionary.Decode(clean_f, clean);
  const at::Tensor expected = at::where(clean_f.select(1, 5).gt(0).unsqueeze(1), replaced, x);
  ExpectNear(Pick(TensorOf(Edited(result, 1), read), places.others), Pick(expected, places.others), kNear);
}

TEST(DocumentEditRun, ReadsLineUpWithTheOriginal) {
  lifescope::Run run = DeepRun();
  const Places places = PlacesOf(run, 2);
  const int64_t gone = places.event[0], later = places.event.back() + 2;
  const auto add = [&](ReadKind kind) { return AddRead(&run, std::move(kind), At({3, gone, later}), {1}); };
  const int64_t logits = add(MlmLogitsRead{}), kl = add(KlToCleanRead{}), features = add(FeatureRead{0});
  const int64_t x = add(ActivationRead{Point(kPoint)}), lens = add(LogitLensRead{Point(kPoint), {}});
  const int64_t shift = add(ShiftRead{Point(kPoint)}), changes = add(FeatureChangeRead{0, 0});
  const int64_t error = add(ReconstructionErrorRead{0}), direct = add(DirectLogitRead{12, {}});
  const int64_t entropy = AddRead(&run, CrossEntropyRead{{{later, 12}, {gone, 12}}}, {}, {1});
  AddDocumentEdits(&run, {DeleteEvent{2}});
  const RunResult result = Execute(run, DeepModel());
  const DocumentResult& edited = Edited(result);
  EXPECT_TRUE(TensorOf(edited, logits)[1].isnan().all().item<bool>());
  for (const int64_t row : {0, 2}) {
    const at::Tensor p = TensorOf(result.clean[1], logits)[row].softmax(0);
    const at::Tensor q = TensorOf(edited, logits)[row].softmax(0);
    EXPECT_NEAR(TensorOf(edited, kl)[row].item<double>(), (p * (p / q).log()).sum().item<double>(), kNear);
  }
  EXPECT_TRUE(TensorOf(edited, kl)[1].isnan().item<bool>());
  EXPECT_GT(TensorOf(edited, kl)[2].item<double>(), 0);
  const at::Tensor log_p = TensorOf(edited, logits).log_softmax(1);
  EXPECT_NEAR(TensorOf(edited, entropy)[0].item<double>(), -log_p[2][12].item<double>(), kNear);
  EXPECT_TRUE(TensorOf(edited, entropy)[1].isnan().item<bool>());
  const at::Tensor rows = TensorOf(edited, x), clean = TensorOf(result.clean[1], x);
  for (const int64_t read : {x, lens, shift, error}) {
    EXPECT_THAT(TensorOf(edited, read).reshape({3, -1}).isnan().all(1).sum().item<int64_t>(), 1) << read;
    EXPECT_TRUE(TensorOf(edited, read)[1].isnan().all().item<bool>()) << read;
  }
  ExpectNear(TensorOf(edited, lens)[2], DeepModel().MlmLogits(rows.narrow(0, 2, 1))[0], kNear);
  EXPECT_NEAR(TensorOf(edited, shift)[2][1].item<double>(), (rows[2].norm() / clean[2].norm()).item<double>(), kNear);
  const auto& attribution = std::get<DirectLogitValue>(ValueOf(edited, direct).value);
  EXPECT_TRUE(attribution.logit[1].isnan().item<bool>());
  EXPECT_NEAR(attribution.logit[2].item<double>(), TensorOf(edited, logits)[2][12].item<double>(), kNear);
  EXPECT_THAT(std::get<FeatureChangeValue>(ValueOf(edited, changes).value).positions, ElementsAre(3, later));
  const auto& value = std::get<FeatureValue>(ValueOf(edited, features).value);
  EXPECT_THAT(value.positions, ElementsAre(3, later));
  EXPECT_EQ(value.activations.values.numel(),
            DeepDictionary().Encode(rows.index_select(0, at::tensor({0, 2}))).ne(0).sum().item<int64_t>());
}

// Edges, heads and attention weights of an edited document are those of the document written out.
TEST(DocumentEditRun, AttentionIsThatOfTheDocumentWrittenOut) {
  lifescope::Run run = DeepRun();
  const Places places = PlacesOf(run, 2);
  const int64_t gone = places.event[0], later = places.event.back() + 2;
  const DocumentVariant variant = ApplyDocumentEdits(run.documents[1], {{DeleteEvent{2}, {}}}, 1, "document_edits");
  lifescope::Run written = DeepRun();
  written.documents[1] = variant.document;
  const auto add = [](lifescope::Run* to, int64_t query, int64_t key, std::vector<int64_t> more) {
    std::vector<int64_t> queries = {3, query}, keys = {key, 0};
    queries.insert(queries.end(), more.begin(), more.end());
    keys.insert(keys.end(), more.begin(), more.end());
    for (const int64_t head : {0, 3}) AddRead(to, AttentionRead{1, head}, At(queries), {1});
    AddActivationRead(to, kFinal);
    std::vector<Edit> edits = {MakeEdit(HeadTarget{1, 2, Site::kK}, Scale{2}, At(queries))};
    for (const int64_t head : {0, 3}) edits.push_back(MakeEdit(EdgeTarget{1, head, At(keys)}, Zero{}, At(queries)));
    AddDocumentEdits(to, {}, std::move(edits));
  };
  add(&run, later, later + 1, {gone});
  add(&written, variant.RowOf(later), variant.RowOf(later + 1), {});
  run.interventions[0].document_edits = {{DeleteEvent{2}, {1}}};
  const RunResult result = Execute(run, DeepModel()), expected = Execute(written, DeepModel());
  std::vector<int64_t> columns = places.others;
  columns.push_back(31);
  for (const int64_t read : {0, 1}) {
    const at::Tensor weights = TensorOf(Edited(result), read);
    EXPECT_TRUE(weights[1].isnan().all().item<bool>());
    const at::Tensor kept = weights.index_select(0, at::tensor({0, 2}));
    EXPECT_EQ(kept.index_select(1, at::tensor(places.event, at::kLong)).abs().max().item<double>(), 0);
    ExpectNear(kept.index_select(1, at::tensor(columns, at::kLong)), TensorOf(Edited(expected), read), kNear);
  }
  EXPECT_TRUE(SameBits(Pick(TensorOf(Edited(result), 2), places.others), TensorOf(Edited(expected), 2)));
}

TEST(DocumentEditRun, DirectScopeCarriesTheEmbeddingsChangeAlone) {
  lifescope::Run run = DeepRun();
  const int64_t embed = AddActivationRead(&run, "hook_embed"), final = AddActivationRead(&run, kFinal);
  AddDocumentEdits(&run, {ReplaceTokens{At({5, 6}), {30}}});
  run.interventions[0].scope = Scope::kDirect;
  const RunResult result = Execute(run, DeepModel());
  const at::Tensor change = TensorOf(Edited(result), embed) - TensorOf(result.clean[1], embed);
  EXPECT_GT(change[5].abs().max().item<double>(), 1e-3);
  ExpectNear(TensorOf(Edited(result), final) - TensorOf(result.clean[1], final), change, kNear);
}

TEST(DocumentEditRun, IsADonorAtThePositionsThatItHas) {
  lifescope::Run run = DeepRun();
  const int64_t read = AddActivationRead(&run, kPoint);
  const Places places = PlacesOf(run, 2);
  const int64_t gone = places.event[0], later = places.event.back() + 2;
  AddDocumentEdits(&run, {DeleteEvent{2}});
  AddIntervention(&run, {MakeEdit(ActivationTarget{Point(kPoint)}, Donor{1, At({gone, later}), 0}, At({3, 4}), {0})});
  const RunResult result = Execute(run, DeepModel());
  const at::Tensor expected = TensorOf(result.clean[0], read).clone();
  expected[4].copy_(TensorOf(Edited(result), read)[later]);
  EXPECT_FALSE(expected.isnan().any().item<bool>());
  EXPECT_TRUE(SameBits(TensorOf(Edited(result, 1), read), expected));
}

}  // namespace
}  // namespace lifescope
