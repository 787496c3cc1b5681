#include "server/artifact/json_object.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace lifescope {
namespace {

using testing::HasSubstr;
using Json = nlohmann::json;

template <typename Function>
std::string ErrorOf(Function function) {
  try {
    function();
  } catch (const c10::ValueError& error) {
    return error.what_without_backtrace();
  }
  return "no error";
}

TEST(JsonObject, SaysWhereWhatAndWhatWasExpected) {
  const Json json{{"width", -3}, {"kind", "square"}};
  const JsonObject object(json, "a.json: shape");
  EXPECT_THAT(ErrorOf([&] { object.PositiveInteger("width"); }),
              HasSubstr("a.json: shape: key 'width' is -3, expected a positive integer"));
  EXPECT_THAT(ErrorOf([&] {
                object.OneOf("kind", {"flat", "round"});
              }),
              HasSubstr("key 'kind' is \"square\", expected one of: flat, round"));
  EXPECT_THAT(ErrorOf([&] { object.Text("name"); }), HasSubstr("key 'name' is missing"));
  EXPECT_THAT(ErrorOf([&] { object.OnlyKeys({"width"}); }), HasSubstr("unknown key 'kind', expected only: width"));
  EXPECT_THAT(ErrorOf([&] { JsonObject(json["width"], "width"); }), HasSubstr("width is -3, expected an object"));
}

TEST(JsonObject, ShowsNoValueWholeThatIsDeepOrLong) {
  constexpr int kDepth = 100'000;
  const Json deep = Json::parse(std::string(kDepth, '[') + std::string(kDepth, ']'));
  EXPECT_EQ(ShowJson(deep), "an array");
  EXPECT_LT(ShowJson(std::string(1000, 'x')).size(), 100u);
}

TEST(ParseJson, NamesTheFileInEveryFault) {
  const auto width = [](const Json& json) {
    const auto value = json.at("width").get<int64_t>();
    TORCH_CHECK_VALUE(value > 0, "width is ", value);
    return value;
  };
  EXPECT_EQ(ParseJson("a.json", R"({"width": 3})", width), 3);
  for (const char* text : {"{", "{}", R"({"width": "wide"})", R"({"width": -1})"}) {
    EXPECT_THAT(ErrorOf([&] { ParseJson("a.json", text, width); }), HasSubstr("a.json: ")) << text;
  }
}

}  // namespace
}  // namespace lifescope
