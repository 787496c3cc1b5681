#include "server/model/checkpoint_import.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>

#include "server/artifact/artifact.h"
#include "server/artifact/torch_writer.h"
#include "server/model/transformer.h"
#include "tests/model/small_model.h"
#include "tests/support/golden.h"

namespace lifescope {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using Tensors = std::map<std::string, at::Tensor>;
using Json = nlohmann::json;

constexpr char kVocabulary[] = "ID\tTOKEN\tCATEGORY\n";
constexpr char kNotGiven[] =
    R"({"n_local": 2, "local_window_size": 5, "max_length": 64, "hidden_act": "swish", "epsilon": 1e-6})";

const char* StorageOf(at::ScalarType type) {
  switch (type) {
    case at::kDouble:
      return "DoubleStorage";
    case at::kHalf:
      return "HalfStorage";
    case at::kBFloat16:
      return "BFloat16Storage";
    case at::kLong:
      return "LongStorage";
    case at::kBool:
      return "BoolStorage";
    default:
      return "FloatStorage";
  }
}

// What torch.save writes of these tensors, after `prefix` and before the end of the pickle.
std::string TorchFileOf(const Tensors& tensors, const std::function<std::string(const std::string& state)>& wrap) {
  ZipRecords records = {{"a/data.pkl", ""}};
  std::vector<std::pair<std::string, std::string>> entries;
  for (const auto& [name, tensor] : tensors) {
    const at::Tensor dense = tensor.contiguous();
    const std::string key = std::to_string(entries.size());
    entries.emplace_back(name, PickleTensor({StorageOf(dense.scalar_type()), key, dense.numel(), 0, dense.sizes().vec(),
                                             dense.strides().vec()}));
    records.emplace_back("a/data/" + key, std::string(static_cast<const char*>(dense.data_ptr()), dense.nbytes()));
  }
  records[0].second = PickleOf(wrap(PickleDict(entries)));
  const std::string path = TemporaryFolder() + "/model.ckpt";
  WriteFileAtomically(path, ZipOf(records));
  return path;
}

std::string Bare(const std::string& state) { return state; }

// Puts published hyperparameters and training states around a state dict.
std::string Lightning(const std::string& state, const std::string& hyperparameters) {
  return PickleDict({{"epoch", PickleInt(4)},
                     {"global_step", PickleInt(321)},
                     {"pytorch-lightning_version", PickleString("1.9.0")},
                     {"state_dict", state},
                     {"optimizer_states", PickleTuple({})},
                     {"hyper_parameters", hyperparameters}});
}

std::vector<std::pair<std::string, std::string>> SmallEntries() {
  std::vector<std::pair<std::string, std::string>> entries;
  const Json json = Json::parse(SmallHyperparameters().ToJson());
  for (const auto& [name, value] : json.items()) {
    if (value.is_boolean()) entries.emplace_back(name, value.get<bool>() ? "\x88" : "\x89");
    if (value.is_number_integer()) entries.emplace_back(name, PickleInt(value.get<int64_t>()));
    if (value.is_number_float()) entries.emplace_back(name, PickleFloat(value.get<double>()));
    if (value.is_string()) entries.emplace_back(name, PickleString(value.get<std::string>()));
  }
  return entries;
}

Tensors SmallState() {
  return ToStateDict(SmallWeights(SmallHyperparameters(), 1, at::kFloat), SmallHyperparameters());
}

// The encoder alone, named as transformer.state_dict() names it.
Tensors SmallEncoder() {
  Tensors encoder;
  for (const auto& [name, tensor] : SmallState()) {
    if (name.rfind("transformer.", 0) == 0) encoder[name.substr(12)] = tensor;
  }
  return encoder;
}

struct Imported {
  CheckpointImportReport report;
  std::string folder;
  at::Tensor Read(const std::string& name) const {
    return SafetensorsFile::Open(folder + "/model.safetensors").Read(name);
  }
};

Imported Import(const std::string& file, const std::string& hyperparameters = "{}", int64_t vocabulary = 50) {
  Imported imported;
  imported.folder = TemporaryFolder() + "/model";
  imported.report = ImportCheckpoint({file, kVocabulary, vocabulary, hyperparameters, "--hparams"}, imported.folder);
  return imported;
}

std::string ImportError(const std::string& file, const std::string& hyperparameters = "{}", int64_t vocabulary = 50) {
  const std::string folder = TemporaryFolder() + "/models/model";
  const std::string error = MessageOf<c10::ValueError>([&] {
    ImportCheckpoint({file, kVocabulary, vocabulary, hyperparameters, "--hparams"}, folder);
  });
  EXPECT_FALSE(std::filesystem::exists(folder));
  const std::filesystem::path parent = std::filesystem::path(folder).parent_path();
  EXPECT_TRUE(!std::filesystem::exists(parent) || std::filesystem::is_empty(parent)) << "something was left behind";
  return error;
}

// Every tensor of the model is, bit for bit, that of the golden safetensors.
void ExpectEqualsGolden(const Imported& imported, const std::string& golden) {
  const SafetensorsFile expected = SafetensorsFile::Open(GoldenPath(golden + "/model.safetensors"));
  const SafetensorsFile actual = SafetensorsFile::Open(imported.folder + "/model.safetensors");
  for (const std::string& name : actual.names()) {
    const std::string original = "cls_decoder." + name.substr(name.find('.') + 1);
    const at::Tensor tensor = expected.Read(expected.Contains(name) ? name : original);
    EXPECT_EQ(actual.Read(name).scalar_type(), tensor.scalar_type()) << name;
    EXPECT_TRUE(at::equal(actual.Read(name), tensor)) << name;
  }
}

TEST(CheckpointImport, GoldenCheckpointsEqualTheirSafetensorsBitForBit) {
  for (const std::string model : {"variant_a", "struct_small"}) {
    const std::string golden = "life2vec/" + model;
    if (!HasGolden(golden + "/model.ckpt")) GTEST_SKIP() << "in the whole golden set alone";
    const std::string given = ReadFile(GoldenPath(golden + "/hparams.json"));
    const int64_t vocabulary = Json::parse(given)["vocab_size"];
    const Imported ckpt = Import(GoldenPath(golden + "/model.ckpt"), "{}", vocabulary);
    const Imported safetensors = Import(GoldenPath(golden + "/model.safetensors"), given, vocabulary);
    EXPECT_EQ(ckpt.report.digest, safetensors.report.digest) << model;
    EXPECT_EQ(ckpt.report.format, "Lightning checkpoint");
    EXPECT_EQ(ckpt.report.lightning_version, "2.3.3");
    EXPECT_THAT(ckpt.report.unused_tensors,
                ElementsAre("mlm_weight", "sop_class_weight", "sop_loss.weight", "sop_weight"));
    EXPECT_THAT(ckpt.report.unused_entries, Contains("optimizer_states"));
    ExpectEqualsGolden(ckpt, golden);
    EXPECT_EQ(SafetensorsFile::Open(ckpt.folder + "/model.safetensors").names().size() + 4,
              SafetensorsFile::Open(GoldenPath(golden + "/model.safetensors")).names().size());
  }
}

TEST(CheckpointImport, AStateDictWithoutHeadsIsTheEncoderOfItsSafetensors) {
  const Imported imported =
      Import(GoldenPath("life2vec/variant_a/transformer.pth"),
             R"({"n_local": 3, "local_window_size": 7, "max_length": 50, "hidden_act": "gelu"})", 120);
  EXPECT_FALSE(imported.report.has_pretraining_heads);
  EXPECT_EQ(imported.report.tensor_count, 40);
  ExpectEqualsGolden(imported, "life2vec/variant_a");
  const LoadedModel model = LoadModel(imported.folder, at::kFloat, at::kCPU);
  EXPECT_EQ(model.transformer->hyperparameters().norm_input_emb, true);  // the buffer says so, nobody else
  EXPECT_EQ(model.transformer->hyperparameters().n_heads, 6);
}

TEST(CheckpointImport, TheOriginalRepositorysNamesAreRead) {
  if (!HasGolden("life2vec/paper_random/model.safetensors")) GTEST_SKIP() << "in the whole golden set alone";
  const std::string golden = "life2vec/paper_random";
  const Imported imported =
      Import(GoldenPath(golden + "/model.safetensors"), ReadFile(GoldenPath(golden + "/hparams.json")), 2043);
  EXPECT_THAT(imported.report.unused_tensors, ElementsAre("cls_a", "cls_loss.weight", "cls_w", "mlm_w"));
  EXPECT_TRUE(imported.report.has_pretraining_heads);
  ExpectEqualsGolden(imported, golden);
}

TEST(CheckpointImport, AModelWithoutHeadsComputesTheSameActivationsAndNoLogits) {
  const c10::NoGradGuard no_grad;
  const Imported imported = Import(TorchFileOf(SmallEncoder(), Bare), kNotGiven);
  const auto model = LoadModel(imported.folder, at::kFloat, at::kCPU).transformer;
  const Transformer whole(SmallHyperparameters(), SmallWeights(SmallHyperparameters(), 1, at::kFloat));
  const PackedBatch batch = RandomBatch(SmallHyperparameters(), {9, 4}, 64, 3);
  const at::Tensor final = model->Forward(batch);
  EXPECT_TRUE(at::equal(final, whole.Forward(batch)));
  EXPECT_THAT(MessageOf<c10::ValueError>([&] { model->MlmLogits(final); }),
              HasSubstr("no masked-token and no sentence"));
  EXPECT_THAT(MessageOf<c10::ValueError>([&] { model->SopLogits(final); }),
              HasSubstr("no masked-token and no sentence"));
  EXPECT_THAT(AllHookPoints(model->hyperparameters()), testing::Not(Contains(HookPoint{Site::kMlmAct, -1})));
  EXPECT_THAT(MessageOf<c10::ValueError>([&] {
                HookPoint{Site::kSopAct, -1}.CheckLayer(model->hyperparameters());
              }),
              AllOf(HasSubstr("sop.hook_act"), HasSubstr("saved without them")));
}

TEST(CheckpointImport, HyperparametersAreADictOrANamespace) {
  const std::string dict = PickleDict(SmallEntries());
  const std::string space = PickleCall(PickleGlobal("argparse", "Namespace"), PickleTuple({})) + dict + "b";
  for (const std::string& hyperparameters : {dict, space}) {
    const Imported imported =
        Import(TorchFileOf(SmallState(), [&](const std::string& state) { return Lightning(state, hyperparameters); }));
    EXPECT_EQ(ReadFile(imported.folder + "/hparams.json"), SmallHyperparameters().ToJson());
    EXPECT_EQ(imported.report.epoch, 4);
    EXPECT_EQ(imported.report.global_step, 321);
    EXPECT_THAT(imported.report.notes, IsEmpty());
  }
}

TEST(CheckpointImport, BuffersDecideAndTheReportSaysSo) {
  Tensors state = SmallState();
  state["mlm_decoder.out.parametrizations.weight.0.norm"] = at::full({1}, false, at::kBool);
  const std::string hyperparameters = PickleDict(SmallEntries());
  const Imported imported =
      Import(TorchFileOf(state, [&](const std::string& pickled) { return Lightning(pickled, hyperparameters); }));
  EXPECT_THAT(imported.report.notes, ElementsAre(AllOf(HasSubstr("norm_output_emb is true"), HasSubstr("false"))));
  EXPECT_FALSE(Json::parse(ReadFile(imported.folder + "/hparams.json"))["norm_output_emb"].get<bool>());
}

TEST(CheckpointImport, OtherHeadsAreLeftOutAndNamed) {
  Tensors state;
  for (const auto& [name, tensor] : SmallEncoder()) state["transformer." + name] = tensor;
  state["decoder.pool.weight"] = at::ones({20, 20});
  const Imported imported = Import(TorchFileOf(state, Bare), kNotGiven);
  EXPECT_THAT(imported.report.unused_tensors, ElementsAre("decoder.pool.weight"));
  EXPECT_FALSE(imported.report.has_pretraining_heads);
}

TEST(CheckpointImport, HalfPrecisionIsWidenedAndDoubleStaysDouble) {
  constexpr char kSegment[] = "transformer.embedding.segment.weight";
  for (const at::ScalarType type : {at::kHalf, at::kBFloat16}) {
    Tensors state = SmallState();
    for (auto& [name, tensor] : state) tensor = tensor.is_floating_point() ? tensor.to(type) : tensor;
    const Imported imported = Import(TorchFileOf(state, Bare), kNotGiven);
    EXPECT_EQ(imported.report.dtype, "float32");
    EXPECT_TRUE(at::equal(imported.Read(kSegment), state[kSegment].to(at::kFloat)));
  }
  Tensors state = SmallState();
  state[kSegment] = state[kSegment].to(at::kDouble) + 1e-12;
  const Imported imported = Import(TorchFileOf(state, Bare), kNotGiven);
  EXPECT_EQ(imported.report.dtype, "float64");
  EXPECT_TRUE(at::equal(imported.Read(kSegment), state[kSegment]));
}

TEST(CheckpointImport, WhatIsMissingOrContradictsIsNamed) {
  const std::string encoder = TorchFileOf(SmallEncoder(), Bare);
  EXPECT_THAT(ImportError(encoder),
              AllOf(HasSubstr("model.ckpt"), HasSubstr("n_local, local_window_size, max_length, hidden_act")));
  EXPECT_THAT(ImportError(encoder, R"({"n_heads": 4})"),
              AllOf(HasSubstr("'n_heads' is 4 in --hparams"), HasSubstr("5 in the tensors")));
  EXPECT_THAT(ImportError(encoder, "[]"), HasSubstr("--hparams: not a JSON object"));
  EXPECT_THAT(ImportError(encoder, kNotGiven, 51), HasSubstr("the token matrix has 50 rows, the vocabulary 51 tokens"));
  const std::string lightning =
      TorchFileOf(SmallState(), [](const std::string& state) { return Lightning(state, PickleDict(SmallEntries())); });
  EXPECT_THAT(ImportError(lightning, R"({"local_window_size": 6})"),
              AllOf(HasSubstr("'local_window_size' is 5 in the checkpoint"), HasSubstr("6 in --hparams")));
}

TEST(CheckpointImport, AModelThatIsNotWholeIsRefused) {
  const auto error = [](const std::function<void(Tensors*)>& change) {
    Tensors state = SmallState();
    change(&state);
    return ImportError(TorchFileOf(state, Bare), kNotGiven);
  };
  EXPECT_THAT(error([](Tensors* state) { state->erase("mlm_decoder.g"); }), HasSubstr("'mlm_decoder.g' is missing"));
  EXPECT_THAT(error([](Tensors* state) { (*state)["transformer.extra"] = at::ones({1}); }),
              AllOf(HasSubstr("'transformer.extra'"), HasSubstr("unknown")));
  EXPECT_THAT(error([](Tensors* state) { (*state)["sop_decoder.norm.g"] = at::full({1}, NAN); }),
              AllOf(HasSubstr("'sop_decoder.norm.g'"), HasSubstr("NaN")));
  EXPECT_THAT(error([](Tensors* state) { (*state)["cls_decoder.norm.g"] = at::ones({1}); }),
              HasSubstr("are the same one"));
  EXPECT_THAT(error([](Tensors* state) {
                *state = {{"weight", at::ones({1})}};
              }),
              HasSubstr("no tensor of a life2vec encoder"));
  EXPECT_THAT(error([](Tensors* state) {
                for (auto& [name, tensor] : *state) tensor = tensor.is_floating_point() ? tensor * 1e30 : tensor;
              }),
              HasSubstr("self-check"));
}

TEST(CheckpointImport, TensorsThatShareAStorageAThousandTimesAreRefused) {
  std::vector<std::pair<std::string, std::string>> entries;
  for (int i = 0; i < 1000; ++i) {
    entries.emplace_back("transformer." + std::to_string(i),
                         PickleTensor({"FloatStorage", "0", 1 << 20, 0, {1 << 20}, {1}}));
  }
  const std::string path = TemporaryFolder() + "/model.ckpt";
  WriteFileAtomically(path,
                      ZipOf({{"a/data.pkl", PickleOf(PickleDict(entries))}, {"a/data/0", std::string(4 << 20, 0)}}));
  EXPECT_THAT(ImportError(path), HasSubstr("expected at most 4 times those of the file"));
}

TEST(CheckpointImport, NothingIsOverwritten) {
  const Imported imported = Import(TorchFileOf(SmallEncoder(), Bare), kNotGiven);
  const std::string again = MessageOf<c10::ValueError>([&] {
    ImportCheckpoint({TorchFileOf(SmallEncoder(), Bare), kVocabulary, 50, kNotGiven, "--hparams"}, imported.folder);
  });
  EXPECT_THAT(again, AllOf(HasSubstr(imported.folder), HasSubstr("exists")));
}

}  // namespace
}  // namespace lifescope
