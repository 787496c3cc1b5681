#include "server/command/evaluation_flags.h"

#include <c10/util/Exception.h>

#include "absl/strings/str_cat.h"
#include "server/command/dictionary_origin.h"
#include "server/command/home.h"
#include "server/command/open_sites.h"
#include "server/command/progress_bar.h"
#include "server/evaluation/thresholded_dictionary.h"

namespace lifescope {
namespace {

Split ParseSplit(const std::string& name) {
  return name == "training" ? Split::kTrain : name == "test" ? Split::kTest : Split::kValidation;
}

RowGroups MakeGroups(const EvaluationFlags& flags, const OpenedCorpus& corpus, const LabelTable* labels) {
  if (labels != nullptr) return GroupByConcept(CorpusConcepts::OfLabels(*labels, *corpus.corpus));
  if (flags.groups == "traits") return GroupByConcept(CorpusConcepts::OfTraits(*corpus.corpus));
  return flags.groups == "category" ? GroupByTokenCategory(*corpus.corpus) : RowGroups{};
}

}  // namespace

void AddEvaluationOptions(CLI::App& verb, EvaluationFlags& flags) {
  AddHomeOption(verb, flags.home);
  DictionaryEvaluationOptions& options = flags.options;
  verb.add_option("--corpus", flags.corpus, "Corpus whose lives are used")->required();
  verb.add_option("--split", flags.split, "Whose lives: choose on validation, report on test")
      ->check(CLI::IsMember({"training", "validation", "test"}))
      ->capture_default_str();
  verb.add_option("--max-persons", options.max_persons, "The first persons of the split; 0: all")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  verb.add_flag("--with-prefix", options.positions.prefix, "Count and replace [CLS] and background tokens too");
  verb.add_flag("--skip-separators", flags.skip_separators, "Neither count nor replace the [SEP] of events");
  verb.add_option("--mask-ratio", options.mask_ratio, "Share of positions masked for the cross-entropy")
      ->check(CLI::Range(0.01, 1.0))
      ->capture_default_str();
  verb.add_option("--mask-seed", options.mask_seed, "Seed of the masks")->capture_default_str();
  verb.add_option("--resamples", options.bootstrap.resamples, "Draws of persons behind the intervals")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  verb.add_option("--seed", options.bootstrap.seed, "Seed of these draws")->capture_default_str();
  CLI::Option* by = verb.add_option("--by", flags.groups, "Also by subgroup: token category, or the corpus' traits")
                        ->check(CLI::IsMember({"category", "traits"}));
  verb.add_option("--by-labels", flags.labels, "Also by the values of this label table (see lifescoped label)")
      ->excludes(by);
  AddThreadsOption(verb, flags.threads);
}

DictionaryCard EvaluateByName(const EvaluationFlags& flags, const std::string& dictionary) {
  const OpenedSites opened = OpenSites(flags.home, dictionary, flags.corpus);
  const DictionaryInfo& info = opened.dictionary.info;
  TORCH_CHECK_VALUE(flags.match_l0 == 0 || !info.is_crosscoder(), "--match-l0: ", dictionary, " is a crosscoder over ",
                    info.hook_point, ", expected dictionaries that read one hook point");
  std::shared_ptr<const LabelTable> labels;
  if (!flags.labels.empty()) labels = OpenLabels(flags.home, flags.labels, opened.corpus);
  DictionaryCard card;
  card.options = flags.options;
  card.options.scan.hook_point = opened.sites.reads.front().hook_point;
  card.options.split = ParseSplit(flags.split);
  card.options.positions.separators = !flags.skip_separators;
  card.options.groups = MakeGroups(flags, opened.corpus, labels.get());
  card.dictionary = {dictionary, opened.dictionary.digest};
  card.model = {opened.models.front().name, opened.models.front().digest};
  for (size_t i = 1; i < opened.models.size(); ++i) {
    card.other_models.push_back({opened.models[i].name, opened.models[i].digest});
  }
  card.corpus = {opened.corpus.name, opened.corpus.corpus->digest()};
  card.kind = KindOf(DictionaryFolder(flags.home, dictionary), opened.dictionary.dictionary->architecture());
  card.architecture = opened.dictionary.dictionary->architecture();
  card.hook_point = info.hook_point;
  if (opened.dictionary.is_transcoder()) card.output_hook_point = info.output_hook_point;
  card.feature_count = opened.dictionary.dictionary->feature_count();
  const std::string stage = absl::StrCat("evaluate ", dictionary);
  ProgressBar bar(stage, 0);
  const auto on_progress = [&](int64_t done, int64_t total) {
    bar.UpdateStage(stage, done, total);
    return true;
  };
  const Transformer& model = *opened.models.front().transformer;
  const Corpus& corpus = *opened.corpus.corpus;
  std::shared_ptr<const Dictionary> judged = opened.dictionary.dictionary;
  if (flags.match_l0 > 0) {
    card.threshold = ThresholdForL0(model, *judged, corpus, card.options, flags.match_l0, on_progress);
    if (card.threshold > 0) judged = std::make_shared<ThresholdedDictionary>(judged, card.threshold);
  }
  card.evaluation = EvaluateDictionary(opened.sites, *judged, corpus, card.options, on_progress);
  // The groups refer to the corpus and the labels, which end here.
  card.options.groups = {};
  card.sections = SectionsOf(card.evaluation);
  return card;
}

}  // namespace lifescope
