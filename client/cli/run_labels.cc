#include "client/cli/run_labels.h"

#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace lifescope {
namespace {

template <typename Named>
std::vector<std::string> Labels(const Named& parts, const std::string& prefix, std::set<std::string> taken) {
  std::vector<std::string> labels;
  for (int index = 0; index < parts.size(); ++index) {
    std::string label = parts[index].name().empty() ? absl::StrCat(prefix, index) : parts[index].name();
    while (!taken.insert(label).second) absl::StrAppend(&label, ".", index);
    labels.push_back(label);
  }
  return labels;
}

}  // namespace

std::vector<std::string> ReadLabels(const v1::Run& run) { return Labels(run.reads(), "read", {}); }

std::vector<std::string> InterventionLabels(const v1::Run& run) {
  return Labels(run.interventions(), "intervention", {"clean"});
}

std::string DescribeTarget(const v1::PatchTarget& target) {
  switch (target.target_case()) {
    case v1::PatchTarget::kActivation:
      return target.activation().hook_point();
    case v1::PatchTarget::kHead:
      return absl::StrCat("head ", target.head().layer(), ".", target.head().head());
    case v1::PatchTarget::kNeurons:
      return absl::StrCat("neurons ", target.neurons().layer(), ":", absl::StrJoin(target.neurons().neurons(), ", "));
    case v1::PatchTarget::kFeatures:
      return absl::StrCat(target.features().features_size() == 1 ? "feature " : "features ",
                          absl::StrJoin(target.features().features(), ", "));
    case v1::PatchTarget::TARGET_NOT_SET:
      break;
  }
  return "nothing";
}

std::string DescribeKind(v1::RunKind kind) {
  switch (kind) {
    case v1::RUN_KIND_RUN:
      return "run";
    case v1::RUN_KIND_ENCODE:
      return "encode";
    case v1::RUN_KIND_ABLATE_FEATURES:
      return "ablate";
    case v1::RUN_KIND_PATCH_ACTIVATIONS:
      return "patch";
    case v1::RUN_KIND_ATTRIBUTE:
      return "attribute";
    case v1::RUN_KIND_FIND_CIRCUIT:
      return "circuit";
    case v1::RUN_KIND_TEST_CONCEPT:
      return "concept";
    case v1::RUN_KIND_SWEEP:
      return "sweep";
    default:
      return absl::StrCat("kind ", kind);
  }
}

}  // namespace lifescope
