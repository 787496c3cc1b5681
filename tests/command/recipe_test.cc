#include "server/command/recipe.h"

#include <c10/util/Exception.h>
#include <gmock/gmock.h>

#include <filesystem>
#include <functional>
#include <set>
#include <string>
#include <vector>

#include "lifescope/v1/pretrain_recipe.pb.h"
#include "server/artifact/artifact.h"
#include "tests/support/golden.h"

namespace lifescope {
namespace {

using testing::HasSubstr;

std::string ErrorOf(const std::function<void()>& call) {
  try {
    call();
  } catch (const c10::ValueError& error) {
    return error.what();
  }
  return "none";
}

TEST(Recipe, FieldsAreThoseOfTheOptions) {
  std::set<std::string> options, fields;
  PretrainOptions any;
  VisitFields(any, [&](const char* name, const auto&) { options.insert(name); });
  const auto* descriptor = v1::PretrainRecipe::descriptor();
  for (int i = 0; i < descriptor->field_count(); ++i) fields.insert(descriptor->field(i)->name());
  fields.erase("base");
  EXPECT_EQ(options, fields);
}

TEST(Recipe, EveryFieldReachesItsOption) {
  // Each option is set to something else than its default, by its name.
  PretrainOptions changed, read;
  std::vector<std::string> assignments;
  VisitFields(changed, [&](const std::string& name, auto& value) {
    using Value = std::decay_t<decltype(value)>;
    if constexpr (std::is_same_v<Value, bool>) {
      value = !value;
      assignments.push_back(name + (value ? "=true" : "=false"));
    } else {
      value = value + static_cast<Value>(2);
      assignments.push_back(name + "=" + std::to_string(value));
    }
  });
  SetRecipeFields(assignments, read);
  std::vector<double> expected, actual;
  VisitFields(changed, [&](const char*, const auto& value) { expected.push_back(static_cast<double>(value)); });
  VisitFields(read, [&](const char*, const auto& value) { actual.push_back(static_cast<double>(value)); });
  EXPECT_THAT(actual, testing::Pointwise(testing::DoubleNear(1e-6), expected));
}

TEST(Recipe, FileChangesItsBaseAndOtherwiseTheDefaults) {
  const std::string path = TemporaryFolder() + "/recipe.textproto";
  PretrainOptions options;
  options.hyperparameters.hidden_size = 64;
  WriteFileAtomically(path, "# Shorter.\nsteps: 7\nresample: 0.5\n");
  ReadRecipe(path, options);
  EXPECT_EQ(options.steps, 7);
  EXPECT_EQ(options.hyperparameters.hidden_size, 64);
  WriteFileAtomically(path, "base: 'life2vec'\nsteps: 9\n");
  ReadRecipe(path, options);
  EXPECT_EQ(options.steps, 9);
  EXPECT_EQ(options.hyperparameters.hidden_size, 280);
  EXPECT_EQ(options.augmentation.resample, 0.4);
  ReadRecipe("life2vec-light", options);
  EXPECT_EQ(options.hyperparameters.hidden_size, 96);
}

TEST(Recipe, APublishedNameIsNoFile) {
  const std::filesystem::path before = std::filesystem::current_path();
  std::filesystem::current_path(TemporaryFolder());
  std::filesystem::create_directory("folder");
  WriteFileAtomically("life2vec", "steps: 7\n");
  PretrainOptions options;
  ReadRecipe("life2vec", options);
  const std::string error = ErrorOf([&] { ReadRecipe("folder", options); });
  std::filesystem::current_path(before);
  EXPECT_EQ(options.hyperparameters.hidden_size, 280);
  EXPECT_NE(options.steps, 7);
  EXPECT_THAT(error, HasSubstr("'folder' is unknown"));
}

TEST(Recipe, FaultsAreNamedWithTheirPlace) {
  const std::string path = TemporaryFolder() + "/recipe.textproto";
  WriteFileAtomically(path, "steps: 7\nstepz: 8\n");
  PretrainOptions options;
  EXPECT_THAT(ErrorOf([&] { ReadRecipe(path, options); }), testing::AllOf(HasSubstr(path + ":2"), HasSubstr("stepz")));
  EXPECT_THAT(ErrorOf([&] { ReadRecipe("life3vec", options); }), HasSubstr("life2vec-light"));
  EXPECT_THAT(ErrorOf([&] { SetRecipeFields({"resample"}, options); }), HasSubstr("FIELD=VALUE"));
  EXPECT_THAT(ErrorOf([&] { SetRecipeFields({"resample=much"}, options); }), HasSubstr("resample=much"));
}

}  // namespace
}  // namespace lifescope
