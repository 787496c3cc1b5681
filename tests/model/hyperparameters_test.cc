#include "server/model/hyperparameters.h"

#include <ATen/ATen.h>
#include <c10/util/StringUtil.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/model/small_model.h"

namespace lifescope {
namespace {

using testing::AllOf;
using testing::HasSubstr;

nlohmann::json Valid() { return nlohmann::json::parse(SmallHyperparameters().ToJson()); }

std::string ParseError(const std::string& text) {
  return MessageOf<c10::ValueError>([&] { Hyperparameters::Parse(text, "the/hparams.json"); });
}

TEST(Hyperparameters, RoundTripThroughJson) {
  for (const Activation activation :
       {Activation::kGelu, Activation::kGeluCustom, Activation::kRelu, Activation::kSwish, Activation::kGeluGoogle}) {
    Hyperparameters h = SmallHyperparameters();
    h.hidden_act = activation;
    h.weight_tying = activation == Activation::kRelu;
    h.norm_input_emb = true;
    h.epsilon = 1e-5;
    const Hyperparameters read = Hyperparameters::Parse(h.ToJson(), "x");
    EXPECT_EQ(read.ToJson(), h.ToJson());
    EXPECT_EQ(read.hidden_act, activation);
    EXPECT_EQ(read.weight_tying, h.weight_tying);
    EXPECT_EQ(read.epsilon, 1e-5);
  }
}

TEST(Hyperparameters, AFieldThatIsWrongIsNamedWithWhatWasFoundAndExpected) {
  const struct {
    const char* field;
    nlohmann::json value;
    const char* expected;
  } cases[] = {{"hidden_size", 0, "expected an integer in [2"},
               {"hidden_size", "many", "\"many\""},
               {"hidden_size", 20.5, "20.5"},
               {"vocab_size", -3, "-3"},
               {"max_length", int64_t{1} << 40, "1099511627776"},
               {"n_heads", 3, "expected a divisor of hidden_size 20"},
               {"n_local", 6, "expected at most n_heads 5"},
               {"hidden_act", "tanh", "gelu, gelu_custom, relu, swish, gelu_google"},
               {"attention_type", "full", "expected \"performer\""},
               {"norm_type", "pre_norm", "expected \"rezero\""},
               {"cls_num_targs", 2, "expected 3"},
               {"parametrize_emb", 1, "expected true or false"},
               {"emb_dropout", 1.0, "expected a number in [0, 1)"},
               {"epsilon", nullptr, "null"}};
  for (const auto& wrong : cases) {
    nlohmann::json json = Valid();
    json[wrong.field] = wrong.value;
    EXPECT_THAT(ParseError(json.dump()), AllOf(HasSubstr("the/hparams.json"),
                                               HasSubstr(c10::str("'", wrong.field, "'")), HasSubstr(wrong.expected)));
  }
}

TEST(Hyperparameters, AMissingSizeIsNamed) {
  for (const char* field : {"hidden_size", "hidden_ff", "n_encoders", "n_heads", "n_local", "local_window_size",
                            "num_random_features", "max_length", "vocab_size", "hidden_act"}) {
    nlohmann::json json = Valid();
    json.erase(field);
    EXPECT_THAT(ParseError(json.dump()), HasSubstr(c10::str("'", field, "'")));
  }
}

TEST(Hyperparameters, TextThatIsNotAJsonObjectIsRefused) {
  EXPECT_THAT(ParseError("{"), AllOf(HasSubstr("the/hparams.json"), HasSubstr("not JSON")));
  EXPECT_THAT(ParseError("[1]"), HasSubstr("not a JSON object"));
}

TEST(Hyperparameters, OnlyTheStringWtTies) {
  nlohmann::json json = Valid();
  json["weight_tying"] = true;  // as the public notebooks pass it
  EXPECT_FALSE(Hyperparameters::Parse(json.dump(), "x").weight_tying);
  json.erase("weight_tying");
  EXPECT_FALSE(Hyperparameters::Parse(json.dump(), "x").weight_tying);
}

}  // namespace
}  // namespace lifescope
