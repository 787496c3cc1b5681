#include <algorithm>
#include <cmath>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "client/cli/answers.h"
#include "client/cli/chart.h"
#include "client/cli/document_argument.h"
#include "client/cli/format.h"
#include "client/cli/message_json.h"
#include "client/cli/number_list.h"
#include "client/cli/positions.h"
#include "client/cli/run_labels.h"
#include "client/cli/session.h"
#include "client/cli/table.h"

namespace lifescope {
namespace {

constexpr int kBarWidth = 20;

struct PatchOptions {
  DocumentSource clean;
  DocumentSource corrupted;
  DocumentOptions documents;
  std::string model;
  std::string dictionary;
  v1::PatchDirection direction = v1::PATCH_DIRECTION_DENOISING;
  std::vector<std::string> hooks;
  std::vector<std::string> heads;
  std::vector<std::string> neurons;
  std::vector<std::string> features;
  v1::ErrorMode error_mode = v1::ERROR_MODE_UNSPECIFIED;
  std::string at = "all";
  int32_t metric_at = 0;
  std::string tokens;
  int32_t n_slots = 0;
};

void DefineTargets(CLI::App& verb, PatchOptions& options) {
  const std::vector<std::pair<std::string, v1::ErrorMode>> error_modes = {{"delta", v1::ERROR_MODE_DELTA},
                                                                          {"replace", v1::ERROR_MODE_REPLACE}};
  const auto add = [&verb](const char* name, std::vector<std::string>& values, const char* what, const char* form) {
    verb.add_option(name, values, what)->option_text(form)->allow_extra_args(false)->group("What is patched");
  };
  add("--hook", options.hooks, "The whole vector at a hook point; may be repeated, as all of these", "NAME");
  add("--head", options.heads, "Output of a head: layer.head", "L.H");
  add("--neurons", options.neurons, "Units of an MLP: layer:units", "L:LIST");
  add("--features", options.features, "Features of the dictionary, together", "LIST");
  verb.add_option("--dictionary", options.dictionary, "Of the features (default: the model's only one)")
      ->option_text("NAME")
      ->group("What is patched");
  verb.add_option("--error-mode", options.error_mode, "Of the features, as in ablate")
      ->transform(CLI::CheckedTransformer(error_modes))
      ->option_text("delta|replace")
      ->group("What is patched");
  verb.add_option("--at", options.at, absl::StrCat("Where: ", kPositionsHelp))
      ->capture_default_str()
      ->option_text("POSITIONS")
      ->group("What is patched");
}

void Define(CLI::App& verb, PatchOptions& options) {
  AddDocumentSource(verb, options.clean, "clean-", "The clean life, whose answer is A");
  AddDocumentSource(verb, options.corrupted, "corrupted-", "The corrupted life, whose answer is B");
  AddDocumentOptions(verb, options.documents);
  DefineTargets(verb, options);
  const std::vector<std::pair<std::string, v1::PatchDirection>> directions = {
      {"denoise", v1::PATCH_DIRECTION_DENOISING}, {"noise", v1::PATCH_DIRECTION_NOISING}};
  verb.add_option("--direction", options.direction,
                  "denoise (default): clean values into the corrupted life, is it enough? noise: the reverse, is it "
                  "needed?")
      ->transform(CLI::CheckedTransformer(directions))
      ->option_text("denoise|noise");
  verb.add_option("--metric-at", options.metric_at, "Position where the model is asked")
      ->option_text("POSITION (required)")
      ->required()
      ->check(CLI::NonNegativeNumber);
  verb.add_option("--tokens", options.tokens, "The metric is logit(A) - logit(B)")
      ->option_text("A,B (required)")
      ->required();
  verb.add_option("--model", options.model, "Model (default: the only one)")->option_text("NAME");
  verb.add_option("--n-slots", options.n_slots, "Padded length that global heads count (default: the model's)");
  verb.footer(R"(Examples:
  lifescope patch --clean-person 17 --corrupted-person 21 --mask 57 --metric-at 57 --tokens IND_4662,IND_2110 \
                  --hook blocks.0.hook_resid_post --hook blocks.1.hook_resid_post
                                                     at which layer the answer is made
  lifescope patch ... --head 0.0 --head 0.1 --head 1.0 --head 1.1
                                                     which head carries it
  lifescope patch ... --features 12,40 --at event:3 --direction noise
                                                     whether two features of one event are needed

Effect: 0 is the corrupted answer, 1 the clean one, in either direction. `lifescope models NAME` lists hook points.)");
}

absl::StatusOr<v1::PatchTarget> HeadTarget(const std::string& text) {
  const std::vector<std::string> parts = absl::StrSplit(text, '.');
  int32_t layer = 0;
  int32_t head = 0;
  if (parts.size() != 2 || !absl::SimpleAtoi(parts[0], &layer) || !absl::SimpleAtoi(parts[1], &head)) {
    return absl::InvalidArgumentError(absl::StrCat("--head: '", text, "' is not layer.head such as 1.3"));
  }
  v1::PatchTarget target;
  target.mutable_head()->set_layer(layer);
  target.mutable_head()->set_head(head);
  return target;
}

absl::StatusOr<v1::PatchTarget> NeuronTarget(const std::string& text) {
  const std::vector<std::string> parts = absl::StrSplit(text, ':');
  int32_t layer = 0;
  if (parts.size() != 2 || !absl::SimpleAtoi(parts[0], &layer)) {
    return absl::InvalidArgumentError(absl::StrCat("--neurons: '", text, "' is not layer:units such as 1:4,5"));
  }
  const auto units = ParseIndices("--neurons", parts[1]);
  if (!units.ok()) return units.status();
  v1::PatchTarget target;
  target.mutable_neurons()->set_layer(layer);
  target.mutable_neurons()->mutable_neurons()->Add(units->begin(), units->end());
  return target;
}

absl::StatusOr<v1::PatchTarget> FeatureTarget(const std::string& text, const PatchOptions& options) {
  const auto features = ParseIndices("--features", text);
  if (!features.ok()) return features.status();
  v1::PatchTarget target;
  target.mutable_features()->set_dictionary(options.dictionary);
  target.mutable_features()->mutable_features()->Add(features->begin(), features->end());
  target.set_error_mode(options.error_mode);
  return target;
}

absl::StatusOr<std::vector<v1::PatchTarget>> ReadTargets(const PatchOptions& options) {
  std::vector<absl::StatusOr<v1::PatchTarget>> read;
  for (const std::string& hook : options.hooks) {
    read.emplace_back(v1::PatchTarget())->mutable_activation()->set_hook_point(hook);
  }
  for (const std::string& text : options.heads) read.push_back(HeadTarget(text));
  for (const std::string& text : options.neurons) read.push_back(NeuronTarget(text));
  for (const std::string& text : options.features) read.push_back(FeatureTarget(text, options));
  if (read.empty()) {
    return absl::InvalidArgumentError("say what is patched: --hook, --head, --neurons or --features");
  }
  const absl::StatusOr<v1::Positions> positions = ParsePositions("--at", options.at);
  if (!positions.ok()) return positions.status();
  std::vector<v1::PatchTarget> targets;
  for (absl::StatusOr<v1::PatchTarget>& target : read) {
    if (!target.ok()) return target.status();
    *target->mutable_positions() = *positions;
    targets.push_back(*std::move(target));
  }
  return targets;
}

absl::StatusOr<v1::PatchActivationsRequest> MakeRequest(const PatchOptions& options) {
  const std::vector<std::string> tokens = absl::StrSplit(options.tokens, ',');
  if (tokens.size() != 2 || tokens[0].empty() || tokens[1].empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("--tokens: '", options.tokens, "' is not two tokens such as IND_4662,IND_2110"));
  }
  const absl::StatusOr<v1::Document> clean = ReadDocument(options.clean, options.documents);
  if (!clean.ok()) return clean.status();
  const absl::StatusOr<v1::Document> corrupted = ReadDocument(options.corrupted, options.documents);
  if (!corrupted.ok()) return corrupted.status();
  const absl::StatusOr<std::vector<v1::PatchTarget>> targets = ReadTargets(options);
  if (!targets.ok()) return targets.status();
  v1::PatchActivationsRequest request;
  request.set_request_id(NewRequestId());
  request.set_model(options.model);
  *request.mutable_clean() = *clean;
  *request.mutable_corrupted() = *corrupted;
  request.set_direction(options.direction);
  request.mutable_targets()->Add(targets->begin(), targets->end());
  request.mutable_metric()->set_position(options.metric_at);
  request.mutable_metric()->set_token_a(tokens[0]);
  request.mutable_metric()->set_token_b(tokens[1]);
  request.set_n_slots(options.n_slots);
  return request;
}

absl::Status RunPatch(const PatchOptions& options, Session& session) {
  const absl::StatusOr<v1::PatchActivationsRequest> request = MakeRequest(options);
  if (!request.ok()) return request.status();
  const absl::StatusOr<v1::PatchActivationsResponse> response = session.client->PatchActivations(*request);
  if (!response.ok()) return response.status();
  if (session.output == OutputFormat::kJson) return PrintJson(*response, session.terminal);
  return PrintPatch(session, *request, *response);
}

// A bar from 0 to 1; what lies outside is said by an arrow at the end.
Text EffectBar(const v1::PatchEffect& effect) {
  if (!effect.has_normalized()) return Text("clean and corrupted answer alike", Style::kDim);
  const double normalized = effect.normalized();
  if (normalized < 0) return Text("◂ below 0", Style::kDown);
  Text bar(Bar(normalized, kBarWidth), Style::kAccent);
  if (normalized > 1.005) bar.Append(" ▸ over 1", Style::kUp);
  return bar;
}

}  // namespace

absl::Status PrintPatch(Session& session, const v1::PatchActivationsRequest& request,
                        const v1::PatchActivationsResponse& response) {
  if (response.effects_size() != request.targets_size()) {
    return absl::DataLossError(
        absl::StrCat("asked about ", request.targets_size(), " targets, answered about ", response.effects_size()));
  }
  const bool noise = request.direction() == v1::PATCH_DIRECTION_NOISING;
  const std::string clean = DescribeDocument(request.clean());
  const std::string corrupted = DescribeDocument(request.corrupted());
  PrintTitle(session, absl::StrCat(noise ? corrupted : clean, " patched into ", noise ? clean : corrupted),
             noise ? "noising: is it needed?" : "denoising: is it enough?");
  PrintLine(session.terminal, absl::StrCat("  logit(", request.metric().token_a(), ") - logit(",
                                           request.metric().token_b(), ") at position ", request.metric().position()));
  PrintLine(session.terminal);
  using Align = Table::Align;
  Table table({{"run"}, {"where"}, {"metric", Align::kRight}, {"effect", Align::kRight}, {"0 … 1"}}, /*indent=*/2);
  table.Add({Text("clean", Style::kBold), clean, FormatNumber(response.metric_clean()), "1.00",
             Text(Bar(1, kBarWidth), Style::kDim)});
  table.Add({Text("corrupted", Style::kBold), corrupted, FormatNumber(response.metric_corrupted()), "0.00"});
  for (int index = 0; index < response.effects_size(); ++index) {
    const v1::PatchEffect& effect = response.effects(index);
    const v1::PatchTarget& target = request.targets(index);
    table.Add({DescribeTarget(target), FormatPositions(target.positions()), FormatNumber(effect.metric_patched()),
               effect.has_normalized() ? FormatFixed(effect.normalized(), 2) : "–", EffectBar(effect)});
  }
  table.Print(session.terminal);
  PrintRunLine(session, response.run_id(), response.provenance());
  return absl::OkStatus();
}

void AddPatch(CLI::App& app, Action& action) {
  AddVerb<PatchOptions>(app, action, "patch", "Activations of one life in another: where the answer comes from", Define,
                        RunPatch);
}

}  // namespace lifescope
