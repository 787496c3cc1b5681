#include "server/command/dictionary_origin.h"

#include <c10/util/Exception.h>

#include <filesystem>

#include "absl/strings/str_cat.h"
#include "google/protobuf/text_format.h"
#include "lifescope/v1/sae_recipe.pb.h"
#include "server/artifact/artifact.h"

namespace lifescope {
namespace {

std::string FileIn(const std::string& folder) { return folder + "/training.json"; }

}  // namespace

void WriteOrigin(const std::string& folder, const nlohmann::json& origin) {
  WriteFileAtomically(FileIn(folder), origin.dump(2) + "\n");
}

std::string KindOf(const std::string& folder, const std::string& architecture) {
  const std::string file = FileIn(folder);
  if (!std::filesystem::exists(file)) return absl::StrCat("import/saelens/", architecture);
  const nlohmann::json origin = nlohmann::json::parse(ReadFile(file), nullptr, /*allow_exceptions=*/false);
  const auto text = [&](const char* name) {
    const bool has = origin.is_object() && origin.contains(name) && origin[name].is_string();
    return has ? origin[name].get<std::string>() : "";
  };
  if (!text("method").empty()) return text("method");
  if (!text("format").empty()) return absl::StrCat("import/", text("format"), "/", architecture);
  v1::SaeRecipe recipe;
  const bool is_recipe = google::protobuf::TextFormat::ParseFromString(text("recipe"), &recipe) &&
                         recipe.dictionaries_size() == 1 && !recipe.dictionaries(0).base().empty();
  TORCH_CHECK_VALUE(is_recipe, file, ": no method, format or recipe of one dictionary, expected one of them");
  return recipe.dictionaries(0).base();
}

}  // namespace lifescope
