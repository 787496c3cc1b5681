#include "tests/intervention/small_run.h"

#include <gtest/gtest.h>

#include <cstring>
#include <utility>

#include "server/corpus/random.h"

namespace lifescope {
namespace {

Hyperparameters SmallHyperparameters() {
  Hyperparameters h;
  h.hidden_size = 16;
  h.hidden_ff = 32;
  h.n_encoders = 2;
  h.n_heads = 4;
  h.n_local = 2;
  h.local_window_size = 4;
  h.num_random_features = 8;
  h.max_length = 48;
  h.vocab_size = 40;
  return h;
}

const std::shared_ptr<const ReluDictionary>& SharedDictionary() {
  static const auto dictionary = std::make_shared<const ReluDictionary>(16, 24, at::kFloat, 5);
  return dictionary;
}

const std::shared_ptr<const ReluDictionary>& SharedDeepDictionary() {
  static const auto dictionary = std::make_shared<const ReluDictionary>(16, 24, at::kDouble, 6);
  return dictionary;
}

}  // namespace

const Transformer& SmallModel() {
  static const Transformer model(SmallHyperparameters(), InitializeWeights(SmallHyperparameters(), 3, 1.0));
  return model;
}

const Transformer& DeepModel() {
  static const Transformer model = [] {
    Hyperparameters h = SmallHyperparameters();
    h.n_encoders = 4;
    Weights weights = InitializeWeights(h, 4, 1.0);
    for (const auto& [name, tensor] : TrainableTensors(weights)) *tensor = tensor->to(at::kDouble);
    for (BlockWeights& block : weights.blocks) block.projection = block.projection.to(at::kDouble);
    weights.mlm.decoder = weights.embedding.token;
    return Transformer(h, std::move(weights));
  }();
  return model;
}

Document RandomDocument(uint64_t seed, int64_t length) {
  Random random(seed);
  Document d;
  d.person_id = static_cast<int64_t>(seed);
  const auto add = [&](int32_t token, int32_t abspos, int32_t event) {
    d.token.push_back(token);
    d.abspos.push_back(abspos);
    d.age.push_back(event == 0 ? 0 : 20 + event);
    d.segment.push_back(event == 0 ? 1 : 1 + event % 3);
    d.event.push_back(event);
  };
  const auto content = [&] { return kFirstContentToken + static_cast<int32_t>(random.Below(30)); };
  add(kCls, 0, 0);
  add(content(), 0, 0);
  add(content(), 0, 0);
  add(kSep, 0, 0);
  int32_t day = 100;
  for (int32_t event = 1; d.length() < length; ++event) {
    day += static_cast<int32_t>(random.Below(400));
    for (int64_t tokens = 1 + random.Below(4); tokens > 0 && d.length() + 1 < length; --tokens) {
      add(content(), day, event);
    }
    add(kSep, day, event);
  }
  return d;
}

Document GoldenDocument(const SafetensorsFile& file, const std::string& name) {
  const at::Tensor rows = file.Read(name + ".input_ids")[0].to(at::kInt).contiguous();
  const auto row = [&](int64_t i) {
    const int32_t* data = rows[i].data_ptr<int32_t>();
    return std::vector<int32_t>(data, data + rows.size(1));
  };
  EXPECT_TRUE(file.Read(name + ".padding_mask").all().item<bool>());
  return {0, row(0), row(1), row(2), row(3), std::vector<int32_t>(static_cast<size_t>(rows.size(1)), 0)};
}

Run SmallRun() {
  Run run;
  run.documents = {RandomDocument(1, 20), RandomDocument(2, 31), RandomDocument(3, 9)};
  run.dictionaries = {{SharedDictionary(), Point("blocks.0.hook_resid_post")}};
  run.deterministic = true;
  return run;
}

Run DeepRun() {
  Run run = SmallRun();
  run.dictionaries = {{SharedDeepDictionary(), Point("blocks.1.hook_resid_post")}};
  return run;
}

const ReluDictionary& DeepDictionary() { return *SharedDeepDictionary(); }

const ReluDictionary& SmallDictionary() { return *SharedDictionary(); }

HookPoint Point(const std::string& name) { return HookPoint::Parse(name); }

Positions At(std::vector<int64_t> indices) {
  Positions positions;
  positions.indices = std::move(indices);
  return positions;
}

Edit MakeEdit(EditTarget target, EditMode mode, Positions positions, std::vector<int64_t> documents) {
  Edit edit;
  edit.target = std::move(target);
  edit.mode = std::move(mode);
  edit.positions = std::move(positions);
  edit.documents = std::move(documents);
  return edit;
}

int64_t AddRead(Run* run, ReadKind kind, Positions positions, std::vector<int64_t> documents) {
  run->reads.push_back({"", std::move(kind), std::move(positions), std::move(documents)});
  return static_cast<int64_t>(run->reads.size()) - 1;
}

int64_t AddActivationRead(Run* run, const std::string& hook_point) {
  return AddRead(run, ActivationRead{Point(hook_point)});
}

void AddIntervention(Run* run, std::vector<Edit> edits) { run->interventions.push_back({"", std::move(edits)}); }

const ReadValue& ValueOf(const DocumentResult& document, int64_t read) {
  static const ReadValue none;
  for (const ReadValue& value : document.values) {
    if (value.read == read) return value;
  }
  ADD_FAILURE() << "document " << document.document << " has no value of read " << read;
  return none;
}

at::Tensor TensorOf(const DocumentResult& document, int64_t read) {
  return std::get<at::Tensor>(ValueOf(document, read).value);
}

bool SameBits(const at::Tensor& a, const at::Tensor& b) {
  return a.sizes() == b.sizes() && a.scalar_type() == b.scalar_type() &&
         std::memcmp(a.contiguous().data_ptr(), b.contiguous().data_ptr(), a.nbytes()) == 0;
}

void ExpectNear(const at::Tensor& actual, const at::Tensor& expected, double tolerance) {
  ASSERT_EQ(actual.sizes(), expected.sizes());
  const at::Tensor difference = (actual.to(at::kDouble) - expected.to(at::kDouble)).abs();
  const at::Tensor excess = difference - tolerance * (1 + expected.to(at::kDouble).abs());
  EXPECT_LE(excess.max().item<double>(), 0) << "largest difference " << difference.max().item<double>();
}

}  // namespace lifescope
