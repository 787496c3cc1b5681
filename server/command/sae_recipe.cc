#include "server/command/sae_recipe.h"

#include <c10/util/Exception.h>

#include <algorithm>
#include <set>

#include "server/artifact/artifact.h"
#include "server/command/activation_sources.h"
#include "server/command/text_message.h"

namespace lifescope {
namespace {

// The numeric fields of a dictionary that are the objective's or the loop's: all but its width and seed.
RecipeSettings SettingsOf(const v1::SaeDictionaryRecipe& dictionary) {
  using Field = google::protobuf::FieldDescriptor;
  const google::protobuf::Reflection& reflection = *dictionary.GetReflection();
  std::vector<const Field*> fields;
  reflection.ListFields(dictionary, &fields);
  RecipeSettings settings;
  for (const Field* field : fields) {
    if (field->name() == "features") continue;
    if (field->cpp_type() == Field::CPPTYPE_DOUBLE) settings[field->name()] = reflection.GetDouble(dictionary, field);
    if (field->cpp_type() == Field::CPPTYPE_INT64) {
      settings[field->name()] = static_cast<double>(reflection.GetInt64(dictionary, field));
    }
  }
  return settings;
}

size_t SiteIndex(const std::vector<ActivationSite>& sites, const std::string& name) {
  std::string names;
  for (size_t i = 0; i < sites.size(); ++i) {
    if (sites[i].name == name) return i;
    names += (names.empty() ? "" : ", ") + sites[i].name;
  }
  TORCH_CHECK_VALUE(false, "no activations of ", name, "; there are those of ", names);
}

SaePlan PlanOf(const v1::SaeRecipe& recipe, const v1::SaeDictionaryRecipe& dictionary,
               const std::vector<ActivationSite>& sites) {
  SaePlan plan;
  plan.name = dictionary.name();
  plan.scale = ParseActivationScale(dictionary.normalisation());
  TrainingShape shape;
  shape.feature_count = dictionary.features();
  shape.steps = recipe.steps();
  shape.batch_rows = recipe.batch_rows();
  shape.seed = dictionary.seed();
  for (const std::string& name : dictionary.reads()) {
    plan.input_sites.push_back(SiteIndex(sites, name));
    shape.input_widths.push_back(sites[plan.input_sites.back()].width);
  }
  plan.target_sites = plan.input_sites;
  if (!dictionary.predicts().empty()) {
    TORCH_CHECK_VALUE(ParseSite(dictionary.predicts()).model == ParseSite(dictionary.reads(0)).model, "reads ",
                      dictionary.reads(0), " and predicts ", dictionary.predicts(), ", expected one model");
    plan.target_sites = {SiteIndex(sites, dictionary.predicts())};
    shape.output_dim = sites[plan.target_sites[0]].width;
  }
  TORCH_CHECK_VALUE(plan.scale == ActivationScale::kNone || NormalisationOf(dictionary.base()) != "none",
                    "normalisation is ", dictionary.normalisation(),
                    ", expected none: a codebook normalises its rows itself");
  const DictionaryTraining training = MakeTraining(dictionary.base(), shape, SettingsOf(dictionary));
  plan.objective = training.objective;
  plan.options = training.loop;
  plan.options.matmul = ParseMatmul(dictionary.matmul());
  return plan;
}

}  // namespace

v1::SaeRecipe ReadSaeRecipe(const std::string& path) {
  v1::SaeRecipe recipe;
  ParseTextMessage(path, ReadFile(path), &recipe);
  return recipe;
}

void SetDictionaryFields(const std::vector<std::string>& assignments, v1::SaeRecipe& recipe) {
  for (const std::string& assignment : assignments) {
    const size_t equals = assignment.find('=');
    TORCH_CHECK_VALUE(equals != std::string::npos, "--set ", assignment, ": expected FIELD=VALUE");
    v1::SaeDictionaryRecipe fields;
    ParseTextMessage("--set " + assignment, assignment.substr(0, equals) + ": " + assignment.substr(equals + 1),
                     &fields);
    for (v1::SaeDictionaryRecipe& dictionary : *recipe.mutable_dictionaries()) {
      // A list replaces the one that is there.
      if (fields.reads_size() > 0) dictionary.clear_reads();
      dictionary.MergeFrom(fields);
    }
  }
}

void CompleteSaeRecipe(const std::string& name, const std::string& hook_point, v1::SaeRecipe& recipe) {
  TORCH_CHECK_VALUE(recipe.dictionaries_size() > 0, "the recipe has no dictionaries, expected at least one");
  if (!recipe.has_steps()) recipe.set_steps(2000);
  if (!recipe.has_batch_rows()) recipe.set_batch_rows(1024);
  if (!recipe.has_buffer_rows()) recipe.set_buffer_rows(std::max<int64_t>(100'000, 2 * recipe.batch_rows()));
  if (!recipe.has_checkpoint_interval()) recipe.set_checkpoint_interval(500);
  if (!recipe.has_seed()) recipe.set_seed(1);
  TORCH_CHECK_VALUE(recipe.steps() > 0 && recipe.batch_rows() > 0 && recipe.checkpoint_interval() > 0, "steps ",
                    recipe.steps(), ", batch_rows ", recipe.batch_rows(), ", checkpoint_interval ",
                    recipe.checkpoint_interval(), ": expected at least 1 of each");
  TORCH_CHECK_VALUE(recipe.batch_rows() <= recipe.buffer_rows(), "batch_rows is ", recipe.batch_rows(),
                    ", expected at most buffer_rows, ", recipe.buffer_rows());
  std::set<std::string> names;
  for (v1::SaeDictionaryRecipe& dictionary : *recipe.mutable_dictionaries()) {
    if (dictionary.name().empty()) dictionary.set_name(name);
    TORCH_CHECK_VALUE(!dictionary.name().empty() && names.insert(dictionary.name()).second, "dictionary '",
                      dictionary.name(), "': expected a name that no other has");
    if (dictionary.base().empty()) dictionary.set_base("dictionary_learning/topk");
    if (dictionary.reads().empty()) dictionary.add_reads(hook_point);
    TORCH_CHECK_VALUE(!dictionary.reads(0).empty(), "dictionary '", dictionary.name(), "' reads nothing");
    if (dictionary.normalisation().empty()) dictionary.set_normalisation(NormalisationOf(dictionary.base()));
    if (!dictionary.has_features()) dictionary.set_features(512);
    if (dictionary.matmul().empty()) dictionary.set_matmul("float32");
    if (!dictionary.has_seed()) dictionary.set_seed(recipe.seed());
  }
}

std::vector<std::string> SitesOf(const v1::SaeRecipe& recipe) {
  std::vector<std::string> sites;
  const auto add = [&](const std::string& site) {
    if (!site.empty() && std::find(sites.begin(), sites.end(), site) == sites.end()) sites.push_back(site);
  };
  for (const v1::SaeDictionaryRecipe& dictionary : recipe.dictionaries()) {
    for (const std::string& site : dictionary.reads()) add(site);
    add(dictionary.predicts());
  }
  return sites;
}

ActivationStreamOptions StreamOptionsOf(const v1::SaeRecipe& recipe) {
  ActivationStreamOptions options;
  options.skip_prefix = !recipe.with_prefix();
  options.skip_separators = recipe.without_separators();
  options.buffer_rows = recipe.buffer_rows();
  options.seed = recipe.seed();
  return options;
}

std::vector<SaePlan> PlansOf(const v1::SaeRecipe& recipe, const std::vector<ActivationSite>& sites) {
  std::vector<SaePlan> plans;
  for (const v1::SaeDictionaryRecipe& dictionary : recipe.dictionaries()) {
    try {
      plans.push_back(PlanOf(recipe, dictionary, sites));
    } catch (const c10::ValueError& error) {
      TORCH_CHECK_VALUE(false, "dictionary '", dictionary.name(), "': ", error.msg());
    }
  }
  return plans;
}

}  // namespace lifescope
