#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/cli/answers.h"
#include "client/cli/format.h"
#include "client/cli/message_json.h"
#include "client/cli/paging.h"
#include "client/cli/session.h"
#include "client/cli/table.h"

namespace lifescope {
namespace {

struct ModelsOptions {
  std::string name;
};

void Define(CLI::App& verb, ModelsOptions& options) {
  verb.add_option("name", options.name, "Show this one with its hook points");
  verb.footer(R"(Examples:
  lifescope models                                   all of them
  lifescope models demo                              one, with the hook points that edits and reads may name)");
}

void PrintModels(Session& session, const v1::ListModelsResponse& models) {
  using Align = Table::Align;
  Table table({{"model"},
               {"layers", Align::kRight},
               {"hidden", Align::kRight},
               {"heads", Align::kRight},
               {"local", Align::kRight},
               {"length", Align::kRight},
               {"vocabulary", Align::kRight},
               {"parameters", Align::kRight},
               {"digest"}});
  for (const v1::Model& model : models.models()) {
    table.Add({Text(model.name(), Style::kBold), absl::StrCat(model.layer_count()), absl::StrCat(model.hidden_size()),
               absl::StrCat(model.head_count()), absl::StrCat(model.local_head_count()),
               absl::StrCat(model.max_length()), FormatCount(model.vocabulary_size()),
               FormatCount(model.parameter_count()), Text(ShortDigest(model.digest()), Style::kDim)});
  }
  if (table.empty()) return PrintLine(session.terminal, "The server holds no model.");
  table.Print(session.terminal);
}

void PrintHookPoints(Session& session, const v1::HookPoints& hook_points) {
  Table table({{"hook point"}, {"shape of a position"}, {"edits"}}, /*indent=*/2);
  for (const v1::HookPointDescription& point : hook_points.points()) {
    table.Add({point.name(), absl::StrCat("[", absl::StrJoin(point.shape(), ", "), "]"),
               point.editable() ? Text("yes") : Text("read only", Style::kDim)});
  }
  PrintLine(session.terminal);
  table.Print(session.terminal);
}

absl::Status ShowModel(const std::string& name, Session& session) {
  v1::GetModelRequest request;
  request.set_model(name);
  const absl::StatusOr<v1::Model> model = session.client->GetModel(request);
  if (!model.ok()) return model.status();
  if (session.output == OutputFormat::kJson) return PrintJson(*model, session.terminal);
  const absl::StatusOr<v1::Capabilities> capabilities = session.client->GetCapabilities();
  if (!capabilities.ok()) return capabilities.status();
  v1::ListModelsResponse single;
  *single.add_models() = *model;
  PrintModels(session, single);
  const auto hook_points = capabilities->hook_points().find(model->name());
  if (hook_points != capabilities->hook_points().end()) PrintHookPoints(session, hook_points->second);
  return absl::OkStatus();
}

absl::Status RunModels(const ModelsOptions& options, Session& session) {
  if (!options.name.empty()) return ShowModel(options.name, session);
  const auto models =
      ListAll(*session.client, &Client::ListModels, v1::ListModelsRequest(), &v1::ListModelsResponse::mutable_models);
  if (!models.ok()) return models.status();
  if (session.output == OutputFormat::kJson) return PrintJson(*models, session.terminal);
  PrintModels(session, *models);
  return absl::OkStatus();
}

}  // namespace

void AddModels(CLI::App& app, Action& action) {
  AddVerb<ModelsOptions>(app, action, "models", "The life2vec models of the server", Define, RunModels);
}

}  // namespace lifescope
