#include "server/command/recipe.h"

#include <c10/util/Exception.h>

#include <filesystem>
#include <type_traits>

#include "lifescope/v1/pretrain_recipe.pb.h"
#include "server/artifact/artifact.h"
#include "server/command/text_message.h"

namespace lifescope {
namespace {

v1::PretrainRecipe Parse(const std::string& source, const std::string& text) {
  v1::PretrainRecipe recipe;
  ParseTextMessage(source, text, &recipe);
  return recipe;
}

template <typename T>
T ValueOf(const v1::PretrainRecipe& recipe, const google::protobuf::FieldDescriptor* field) {
  const google::protobuf::Reflection& reflection = *recipe.GetReflection();
  if constexpr (std::is_same_v<T, bool>) return reflection.GetBool(recipe, field);
  if constexpr (std::is_same_v<T, double>) return reflection.GetDouble(recipe, field);
  if constexpr (std::is_same_v<T, int64_t>) return reflection.GetInt64(recipe, field);
  if constexpr (std::is_same_v<T, uint64_t>) return reflection.GetUInt64(recipe, field);
}

void Apply(const v1::PretrainRecipe& recipe, PretrainOptions& options) {
  if (!recipe.base().empty()) options = PublishedRecipe(recipe.base());
  VisitFields(options, [&](const std::string& name, auto& value) {
    const google::protobuf::FieldDescriptor* field = recipe.GetDescriptor()->FindFieldByName(name);
    if (recipe.GetReflection()->HasField(recipe, field)) value = ValueOf<std::decay_t<decltype(value)>>(recipe, field);
  });
}

}  // namespace

void ReadRecipe(const std::string& name_or_path, PretrainOptions& options) {
  try {
    options = PublishedRecipe(name_or_path);
    return;
  } catch (const c10::ValueError&) {  // says the names that there are
    if (!std::filesystem::is_regular_file(name_or_path)) throw;
  }
  Apply(Parse(name_or_path, ReadFile(name_or_path)), options);
}

void SetRecipeFields(const std::vector<std::string>& assignments, PretrainOptions& options) {
  for (const std::string& assignment : assignments) {
    const size_t equals = assignment.find('=');
    TORCH_CHECK_VALUE(equals != std::string::npos, "--set ", assignment, ": expected FIELD=VALUE");
    Apply(Parse("--set " + assignment, assignment.substr(0, equals) + ": " + assignment.substr(equals + 1)), options);
  }
}

}  // namespace lifescope
