#include "server/command/evaluation_flags.h"

#include <c10/util/Exception.h>

#include "absl/strings/str_cat.h"
#include "server/command/dictionary_origin.h"
#include "server/command/home.h"
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
  const OpenedScan scan = OpenScan(flags.home, dictionary, flags.corpus);
  TORCH_CHECK_VALUE(!scan.dictionary.is_transcoder(), dictionary, ": a transcoder, expected a dictionary that ",
                    "reconstructs what it reads");
  std::shared_ptr<const LabelTable> labels;
  if (!flags.labels.empty()) labels = OpenLabels(flags.home, flags.labels, scan.corpus);
  DictionaryCard card;
  card.options = flags.options;
  card.options.scan.hook_point = scan.hook_point;
  card.options.split = ParseSplit(flags.split);
  card.options.positions.separators = !flags.skip_separators;
  card.options.groups = MakeGroups(flags, scan.corpus, labels.get());
  card.dictionary = {dictionary, scan.dictionary.digest};
  card.model = {scan.model.name, scan.model.digest};
  card.corpus = {scan.corpus.name, scan.corpus.corpus->digest()};
  card.kind = KindOf(DictionaryFolder(flags.home, dictionary), scan.dictionary.dictionary->architecture());
  card.architecture = scan.dictionary.dictionary->architecture();
  card.hook_point = scan.hook_point.ToString();
  card.feature_count = scan.dictionary.dictionary->feature_count();
  const std::string stage = absl::StrCat("evaluate ", dictionary);
  ProgressBar bar(stage, 0);
  const auto on_progress = [&](int64_t done, int64_t total) {
    bar.UpdateStage(stage, done, total);
    return true;
  };
  const Transformer& model = *scan.model.transformer;
  const Corpus& corpus = *scan.corpus.corpus;
  std::shared_ptr<const Dictionary> judged = scan.dictionary.dictionary;
  if (flags.match_l0 > 0) {
    card.threshold = ThresholdForL0(model, *judged, corpus, card.options, flags.match_l0, on_progress);
    if (card.threshold > 0) judged = std::make_shared<ThresholdedDictionary>(judged, card.threshold);
  }
  card.evaluation = EvaluateDictionary(model, *judged, corpus, card.options, on_progress);
  // The groups refer to the corpus and the labels, which end here.
  card.options.groups = {};
  card.sections = SectionsOf(card.evaluation);
  return card;
}

}  // namespace lifescope
