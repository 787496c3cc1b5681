#include "server/command/dictionary_origin.h"

#include <c10/util/Exception.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/artifact/artifact.h"
#include "tests/support/golden.h"

namespace lifescope {
namespace {

std::string KindWith(const nlohmann::json& origin) {
  const std::string folder = TemporaryFolder();
  WriteOrigin(folder, origin);
  return KindOf(folder, "topk");
}

TEST(KindOf, IsTheRecipeTheMethodOrTheFormat) {
  EXPECT_EQ(KindWith({{"recipe", "steps: 9 dictionaries { name: \"a\" base: \"sparsify/topk\" }"}}), "sparsify/topk");
  EXPECT_EQ(KindWith({{"format", "sparsify"}}), "import/sparsify/topk") << "not what the recipe of that name trained";
  EXPECT_EQ(KindWith({{"method", "pca"}, {"settings", {{"k", 4}}}}), "pca");
  EXPECT_EQ(KindWith({{"format", "openai"}}), "import/openai/topk");
  EXPECT_EQ(KindOf(TemporaryFolder(), "gated"), "import/saelens/gated") << "no training.json";
}

TEST(KindOf, NamesAFileThatSaysNothing) {
  const std::string folder = TemporaryFolder();
  for (const char* text : {"{", "[]", "{\"method\": 3}", "{\"recipe\": \"steps: 9\"}"}) {
    WriteFileAtomically(folder + "/training.json", text);
    try {
      KindOf(folder, "topk");
      ADD_FAILURE() << text;
    } catch (const c10::ValueError& error) {
      EXPECT_THAT(error.what(), testing::HasSubstr("training.json")) << text;
    }
  }
}

}  // namespace
}  // namespace lifescope
