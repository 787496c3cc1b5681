#include "server/evaluation/hierarchy_absorption.h"

#include <ATen/ATen.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <limits>

#include "server/evaluation/binary_counts.h"
#include "server/evaluation/code_groups.h"
#include "server/evaluation/sparse_probing.h"

namespace lifescope {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

at::Tensor IsInGroup(const CorpusRows& rows, const CodeGroup& group) {
  at::Tensor labels = at::empty({rows.size()}, at::kBool);
  for (int64_t i = 0; i < rows.size(); ++i) {
    labels.data_ptr<bool>()[i] = std::binary_search(group.tokens.begin(), group.tokens.end(), rows.tokens[i]);
  }
  return labels;
}

bool HasEnough(const at::Tensor& labels, int64_t min_rows) {
  const int64_t positives = labels.sum().item<int64_t>();
  return positives >= min_rows && labels.numel() - positives >= min_rows;
}

SparseActivations SelectRows(const SparseActivations& codes, const at::Tensor& rows) {
  std::vector<int64_t> offsets{0}, entries;
  const at::Tensor all = codes.row_offsets.contiguous();
  for (int64_t i = 0; i < rows.numel(); ++i) {
    const int64_t row = rows.data_ptr<int64_t>()[i];
    for (int64_t e = all.data_ptr<int64_t>()[row]; e < all.data_ptr<int64_t>()[row + 1]; ++e) entries.push_back(e);
    offsets.push_back(static_cast<int64_t>(entries.size()));
  }
  const at::Tensor kept = at::tensor(entries, at::kLong);
  return {at::tensor(offsets, at::kLong), codes.features.index_select(0, kept), codes.values.index_select(0, kept),
          codes.feature_count};
}

// The sparse probe of the group's main features. The choice of k sees validation persons alone.
SparseProbe ProbeMainFeatures(const LabelledCodes& validation, const LabelledCodes& test,
                              const HierarchyAbsorptionOptions& options) {
  const std::vector<int64_t> ranked = FeaturesByMeanDifference(
      validation, std::min(options.max_main_features, validation.codes.feature_count), MeanDifference::kPositive);
  const auto first = [&](size_t k) { return std::vector<int64_t>(ranked.begin(), ranked.begin() + k); };
  size_t k = 1;
  double f1 = ProbeFeatures(validation, validation, first(1)).test_f1;
  while (k < ranked.size()) {
    const double next = ProbeFeatures(validation, validation, first(k + 1)).test_f1;
    if (next <= f1 + options.split_gain) break;
    f1 = next;
    ++k;
  }
  return ProbeFeatures(validation, test, first(k));
}

// A group's figures, and what each of its rows adds to them.
struct Measured {
  GroupAbsorption group;
  at::Tensor rows;  // INT64: of the test rows
  Absorption absorption;
};

Measured MeasureGroup(const CodeGroup& group, const CorpusRows& validation, const CorpusRows& test,
                      const at::Tensor& directions, const HierarchyAbsorptionOptions& options) {
  const at::Tensor truth = IsInGroup(validation, group), test_truth = IsInGroup(test, group);
  const LogisticModel probe = FitLogisticRegression(validation.activations, truth);
  const at::Tensor predicted = probe.Predict(test.activations);
  const SparseProbe main = ProbeMainFeatures({validation.codes, truth}, {test.codes, test_truth}, options);
  Measured measured;
  measured.rows = (predicted & test_truth).nonzero().squeeze(1);
  measured.absorption =
      MeasureAbsorption(test.activations.index_select(0, measured.rows), SelectRows(test.codes, measured.rows),
                        directions, probe.weights, main.features, options.absorption);
  const int64_t count = measured.rows.numel();
  measured.group = {group.name,
                    static_cast<int64_t>(group.tokens.size()),
                    count,
                    CountAnswers(predicted, test_truth).F1(),
                    main.features,
                    main.test_f1,
                    count == 0 ? kNan : measured.absorption.mean_fraction(),
                    count == 0 ? kNan : measured.absorption.full_rate()};
  return measured;
}

// Sums of each test person: of every group its fractions, its full absorptions and its rows.
at::Tensor SumsPerPerson(const std::vector<Measured>& groups, const CorpusRows& test) {
  const std::vector<int64_t> offsets = test.DocumentOffsets();
  const auto person_of = [&](int64_t row) {
    return std::upper_bound(offsets.begin(), offsets.end(), row) - offsets.begin() - 1;
  };
  const auto width = static_cast<int64_t>(3 * groups.size());
  at::Tensor sums = at::zeros({static_cast<int64_t>(offsets.size()) - 1, width}, at::kDouble);
  for (size_t g = 0; g < groups.size(); ++g) {
    for (int64_t i = 0; i < groups[g].rows.numel(); ++i) {
      double* out = sums.data_ptr<double>() + person_of(groups[g].rows.data_ptr<int64_t>()[i]) * width + 3 * g;
      out[0] += groups[g].absorption.fraction.data_ptr<double>()[i];
      out[1] += groups[g].absorption.is_full.data_ptr<bool>()[i];
      out[2] += 1;
    }
  }
  return sums;
}

// Mean over groups with rows of sum `which` over rows.
double MeanOverGroups(const at::Tensor& sums, int64_t which) {
  double total = 0, groups = 0;
  for (int64_t g = 0; g + 2 < sums.numel(); g += 3) {
    const double* group = sums.data_ptr<double>() + g;
    if (group[2] == 0) continue;
    total += group[which] / group[2];
    groups += 1;
  }
  return groups == 0 ? kNan : total / groups;
}

}  // namespace

HierarchyAbsorption MeasureHierarchyAbsorption(const Transformer& model, const Dictionary& dictionary,
                                               const Corpus& corpus, const HierarchyAbsorptionOptions& options,
                                               const std::function<bool(int64_t done)>& on_progress) {
  CheckScan(model, dictionary, corpus, options.scan);
  const std::vector<int32_t> field = TokensOfField(corpus.vocabulary(), options.field);
  const auto collect = [&](Split split) {
    return CollectRows(
        model, dictionary, corpus, split, options.scan, options.rows,
        [&](const Document& document, int64_t position) {
          return std::binary_search(field.begin(), field.end(), document.token[position]);
        },
        on_progress);
  };
  const CorpusRows validation = collect(Split::kValidation), test = collect(Split::kTest);
  const at::Tensor directions = dictionary.DecoderDirections().to(at::kCPU);
  std::vector<Measured> measured;
  for (const CodeGroup& group : GroupCodes(corpus.vocabulary(), options.field, options.characters)) {
    if (!HasEnough(IsInGroup(validation, group), options.min_rows)) continue;
    if (!HasEnough(IsInGroup(test, group), options.min_rows)) continue;
    measured.push_back(MeasureGroup(group, validation, test, directions, options));
  }
  TORCH_CHECK_VALUE(!measured.empty(), "field: '", options.field, "' has no group of ", options.characters,
                    " characters with ", options.min_rows, " tokens or more inside and outside in both splits");
  HierarchyAbsorption result;
  for (const Measured& group : measured) result.groups.push_back(group.group);
  const std::vector<Measurement> figures = MeasureOverPersons(
      SumsPerPerson(measured, test),
      [](const at::Tensor& sums) {
        return std::vector<Measurement>{{"absorption_fraction", MeanOverGroups(sums, 0)},
                                        {"full_absorption", MeanOverGroups(sums, 1)}};
      },
      options.bootstrap);
  result.mean_fraction = figures[0];
  result.full_rate = figures[1];
  return result;
}

}  // namespace lifescope
