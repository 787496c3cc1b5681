// Sweep: a table of interventions, computed in parts so that other calls get their turn between them.
#include "server/intervention/sweep.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "server/app/app.h"
#include "server/app/constructor.h"
#include "server/app/convert.h"
#include "server/app/engine_status.h"
#include "server/app/identity.h"
#include "server/app/plan_document.h"
#include "server/app/planned_metric.h"
#include "server/app/status_macros.h"
#include "server/app/unknown_fields.h"
#include "server/artifact/artifact.h"
#include "server/corpus/random.h"
#include "server/evaluation/effect_controls.h"
#include "server/intervention/engine.h"
#include "server/intervention/target.h"

namespace lifescope {
namespace {

constexpr int32_t kMaxControls = 1000;
// Packed tokens of the edited runs of one part: a fraction of a second to a few, after which others get their turn.
constexpr int64_t kPartTokens = 65536;
constexpr double kSmallestDifference = 1e-4;
constexpr int64_t kClean = 0, kCorrupted = 1;

// What a sweep's compute threads share with the handler; it outlives a handler that gave up.
struct SweepWork {
  v1::SweepRequest request;
  Plan plan;
  std::shared_ptr<const Transformer> model;
  lifescope::Metric metric;
  SweepOptions options;
  lifescope::Sweep sweep;
  std::vector<double> metrics;  // of the clean and the corrupted life
  // |change of the metric| by random directions, by row.
  std::vector<std::vector<double>> controls;
  v1::SweepResponse response;
  double duration_ms = 0;
};

absl::StatusOr<SweepGrid> GridOf(v1::SweepGrid grid) {
  switch (grid) {
    case v1::SWEEP_GRID_UNSPECIFIED:
    case v1::SWEEP_GRID_LAYER_BY_EVENT:
      return SweepGrid::kLayerByEvent;
    case v1::SWEEP_GRID_LAYER_BY_POSITION:
      return SweepGrid::kLayerByPosition;
    case v1::SWEEP_GRID_LAYER_BY_HEAD:
      return SweepGrid::kLayerByHead;
    case v1::SWEEP_GRID_HEAD_BY_POSITION:
      return SweepGrid::kHeadByPosition;
    case v1::SWEEP_GRID_NEURONS:
      return SweepGrid::kNeurons;
    case v1::SWEEP_GRID_FEATURES:
      return SweepGrid::kFeatures;
    default:
      return InvalidField("grid", absl::StrCat(grid, ", expected a SweepGrid"));
  }
}

absl::StatusOr<lifescope::AlignmentRule> AlignmentOf(v1::AlignmentRule rule, const std::string& field) {
  switch (rule) {
    case v1::ALIGNMENT_RULE_UNSPECIFIED:
    case v1::ALIGNMENT_RULE_SLOT:
      return lifescope::AlignmentRule::kSlot;
    case v1::ALIGNMENT_RULE_EVENT_NUMBER:
      return lifescope::AlignmentRule::kEventNumber;
    case v1::ALIGNMENT_RULE_EVENT_DATE:
      return lifescope::AlignmentRule::kEventDate;
    default:
      return InvalidField(field, absl::StrCat(rule, ", expected an AlignmentRule"));
  }
}

bool HasControls(SweepGrid grid) { return grid != SweepGrid::kNeurons && grid != SweepGrid::kFeatures; }

absl::Status ReadOptions(const v1::SweepRequest& request, SweepOptions& options) {
  ASSIGN_OR_RETURN(options.grid, GridOf(request.grid()));
  ASSIGN_OR_RETURN(options.alignment, AlignmentOf(request.alignment(), "alignment"));
  if (!request.site().empty()) {
    RETURN_IF_ERROR(CatchInField("site", [&] { options.site = HookPoint::Parse("blocks.0." + request.site()).site; }));
  }
  options.layers.assign(request.layers().begin(), request.layers().end());
  options.layer = request.layer();
  if (request.has_corrupted()) {
    const bool denoising = request.direction() == v1::PATCH_DIRECTION_DENOISING;
    if (!denoising && request.direction() != v1::PATCH_DIRECTION_NOISING) {
      return InvalidField("direction", absl::StrCat(request.direction(), ", expected DENOISING or NOISING"));
    }
    options.base = denoising ? kCorrupted : kClean;
    options.donor = denoising ? kClean : kCorrupted;
  } else if (request.direction() != v1::PATCH_DIRECTION_UNSPECIFIED) {
    return InvalidField("direction", "set, expected none without a corrupted life");
  }
  if (request.control_count() < 0 || request.control_count() > kMaxControls) {
    return InvalidField("control_count", absl::StrCat(request.control_count(), ", expected 0 to ", kMaxControls));
  }
  if (request.control_count() > 0 && !HasControls(options.grid)) {
    return InvalidField("control_count", "set, expected 0 for a grid of neurons or features");
  }
  if (request.first_cell() < 0) {
    return InvalidField("first_cell", absl::StrCat(request.first_cell(), ", expected 0 or more"));
  }
  return absl::OkStatus();
}

absl::Status ConstructSweep(const v1::SweepRequest& request, const SweepOptions& options, ConstructedRun& constructed) {
  v1::Run& run = constructed.run;
  run.set_model(request.model());
  run.set_n_slots(request.n_slots());
  run.set_precision(request.precision());
  *run.add_documents() = request.clean();
  constructed.paths.rules.push_back({std::regex("run\\.documents\\[0\\]"), "clean"});
  if (request.has_corrupted()) {
    *run.add_documents() = request.corrupted();
    constructed.paths.rules.push_back({std::regex("run\\.documents\\[1\\]"), "corrupted"});
  }
  RETURN_IF_ERROR(AddMetric(request.metric(), 0, run.documents_size(), run));
  if (options.grid == SweepGrid::kFeatures) {
    AddReadOf(0, run.documents_size(), run).mutable_features()->set_dictionary(request.dictionary());
    constructed.paths.rules.push_back({std::regex("run\\.reads\\[1\\]\\.features\\.dictionary"), "dictionary"});
  }
  AddMetricPaths(constructed.paths);
  constructed.paths.rules.push_back({std::regex("run\\."), ""});
  return absl::OkStatus();
}

ExecuteOptions OptionsWith(const std::function<bool()>& cancelled) {
  ExecuteOptions options;
  options.cancelled = cancelled;
  return options;
}

// The unedited runs: metrics, and which features are active. Then the table.
void Begin(SweepWork& work, const std::function<bool()>& cancelled) {
  work.model = TakeTransformer(work.plan);
  work.metric = PlannedMetric(work.request.metric(), work.plan);
  const RunResult clean = Execute(work.plan.run, *work.model, OptionsWith(cancelled));
  std::set<int64_t> active;
  for (const DocumentResult& document : clean.clean) {
    work.metrics.push_back(MetricOf(work.metric, document));
    if (work.options.grid != SweepGrid::kFeatures) continue;
    const at::Tensor features = std::get<FeatureValue>(document.values.at(1).value).activations.features;
    active.insert(features.data_ptr<int32_t>(), features.data_ptr<int32_t>() + features.numel());
  }
  work.options.features.assign(active.begin(), active.end());
  work.sweep = MakeSweep(work.options, work.plan.run.documents, work.model->hyperparameters());
  work.controls.resize(work.sweep.rows.size());
}

// Runs interventions on the base; their metrics.
std::vector<double> MetricsOf(SweepWork& work, std::vector<Intervention> interventions,
                              const std::function<bool()>& cancelled) {
  lifescope::Run run = work.plan.run;
  run.interventions = std::move(interventions);
  run.reads.resize(1);
  run.reads[0].documents = {work.options.base};
  const absl::Time start = absl::Now();
  const RunResult result = Execute(run, *work.model, OptionsWith(cancelled));
  work.duration_ms += absl::ToDoubleMilliseconds(absl::Now() - start);
  work.response.set_layer_passes(work.response.layer_passes() + result.layer_passes);
  work.response.set_shared_layer_passes(work.response.shared_layer_passes() + result.shared_layer_passes);
  std::vector<double> metrics;
  for (const InterventionResult& intervention : result.interventions) {
    metrics.push_back(MetricOf(work.metric, intervention.documents.at(0)));
  }
  return metrics;
}

// The positions of a donor edit are already those of both documents, one to one.
const std::vector<int64_t>& DonorPositions(const Edit& edit) {
  const auto* donor = std::get_if<lifescope::Donor>(&edit.mode);
  return donor == nullptr ? edit.positions.indices : donor->positions.indices;
}

at::Tensor Rows(const at::Tensor& activation, const std::vector<int64_t>& positions) {
  return positions.empty() ? activation : activation.index_select(0, at::tensor(positions, at::kLong));
}

// A row's random directions: each is added where a cell of the row, drawn at random, is patched, with the root mean
// square length of that patch.
std::vector<Intervention> MakeControls(SweepWork& work, int64_t row, const std::function<bool()>& cancelled) {
  std::vector<const SweepCell*> cells;
  for (const SweepCell& cell : work.sweep.cells) {
    if (cell.row == row) cells.push_back(&cell);
  }
  if (cells.empty()) return {};
  const HookPoint point = EditHookPoint(work.plan.run, cells[0]->intervention.edits[0].target);
  lifescope::Run run = work.plan.run;
  run.reads = {{"", lifescope::ActivationRead{point}, {}, {}}};
  const RunResult clean = Execute(run, *work.model, OptionsWith(cancelled));
  const auto activation = [&](int64_t document) {
    const at::Tensor& value = std::get<at::Tensor>(clean.clean.at(static_cast<size_t>(document)).values.at(0).value);
    return value.flatten(1).to(at::kDouble);
  };
  const at::Tensor base = activation(work.options.base);
  const at::Tensor donor = work.options.donor < 0 ? at::zeros_like(base) : activation(work.options.donor);
  Random random(work.request.seed() + static_cast<uint64_t>(row));
  std::vector<Intervention> controls;
  for (int32_t i = 0; i < work.request.control_count(); ++i) {
    const Edit& edit =
        cells[static_cast<size_t>(random.Below(static_cast<int64_t>(cells.size())))]->intervention.edits[0];
    const std::vector<int64_t> channels = EditedChannels(run, edit.target, work.model->hyperparameters());
    const at::Tensor change =
        (work.options.donor < 0 ? -Rows(base, edit.positions.indices)
                                : Rows(donor, DonorPositions(edit)) - Rows(base, edit.positions.indices))
            .index_select(1, at::tensor(channels, at::kLong));
    const double norm = std::sqrt(change.square().sum(1).mean().item<double>());
    const at::Tensor direction =
        RandomDirections(1, static_cast<int64_t>(channels.size()), norm, random.NextBits()).flatten();
    Edit control = edit;
    control.mode = lifescope::Add{{direction.data_ptr<double>(), direction.data_ptr<double>() + direction.numel()}};
    controls.push_back({"control", {std::move(control)}});
  }
  return controls;
}

void FillHeader(const SweepWork& work, v1::SweepHeader& header) {
  header.mutable_rows()->Add(work.sweep.rows.begin(), work.sweep.rows.end());
  header.mutable_columns()->Add(work.sweep.columns.begin(), work.sweep.columns.end());
  header.set_cell_count(static_cast<int64_t>(work.sweep.cells.size()));
  header.set_metric_clean(work.metrics[kClean]);
  if (work.metrics.size() == 1) return;
  header.set_metric_corrupted(work.metrics[kCorrupted]);
  const bool clean_is_base = work.options.base == kClean;
  const std::vector<int64_t>& clean_only = clean_is_base ? work.sweep.base_only : work.sweep.donor_only;
  const std::vector<int64_t>& corrupted_only = clean_is_base ? work.sweep.donor_only : work.sweep.base_only;
  header.mutable_clean_only()->Add(clean_only.begin(), clean_only.end());
  header.mutable_corrupted_only()->Add(corrupted_only.begin(), corrupted_only.end());
}

void FillCell(const SweepWork& work, const SweepCell& cell, double metric, v1::SweepCell& message) {
  message.set_row(static_cast<int32_t>(cell.row));
  message.set_column(static_cast<int32_t>(cell.column));
  message.set_metric(metric);
  if (work.metrics.size() > 1) {
    const double difference = work.metrics[kClean] - work.metrics[kCorrupted];
    if (std::abs(difference) >= kSmallestDifference) {
      message.set_normalized((metric - work.metrics[kCorrupted]) / difference);
    }
  }
  const std::vector<double>& controls = work.controls[static_cast<size_t>(cell.row)];
  const double base = work.metrics[static_cast<size_t>(work.options.base)];
  if (!controls.empty()) message.set_p_value(ControlPValue(metric - base, controls));
}

void FillQValues(v1::SweepResponse& response) {
  std::vector<double> p_values;
  for (const v1::SweepCell& cell : response.cells()) {
    if (!cell.has_p_value()) return;
    p_values.push_back(cell.p_value());
  }
  const std::vector<double> q_values = BenjaminiHochberg(p_values);
  response.mutable_q_values()->Add(q_values.begin(), q_values.end());
}

template <typename T>
void ForEachPart(size_t first, size_t count, int64_t length, const T& visit) {
  const auto at_once = static_cast<size_t>(std::max<int64_t>(1, kPartTokens / length));
  for (size_t begin = first; begin < count; begin += at_once) {
    if (!visit(begin, std::min(begin + at_once, count))) return;
  }
}

}  // namespace

absl::Status App::OnPoolPatiently(CallContext& call,
                                  const std::function<absl::Status(const std::function<bool()>& cancelled)>& work) {
  while (true) {
    const absl::Status status = OnPool(call, work);
    if (!absl::IsResourceExhausted(status) || call.retry_after_ms == 0) return status;
    const absl::Duration wait = absl::Milliseconds(std::exchange(call.retry_after_ms, 0));
    if (absl::Now() + wait >= call.deadline) return status;
    absl::SleepFor(std::min(wait, absl::Milliseconds(200)));
  }
}

absl::Status App::ComputeSweep(const v1::SweepRequest& request, CallContext& call,
                               const std::function<bool(const v1::SweepPart& part)>& write, RunRecord& record) {
  auto work = std::make_shared<SweepWork>();
  work->request = request;
  RETURN_IF_ERROR(ReadOptions(request, work->options));
  ConstructedRun constructed;
  RETURN_IF_ERROR(ConstructSweep(request, work->options, constructed));
  RETURN_IF_ERROR(RenamePaths(
      MakeCheckedPlan(constructed.run, *registry_, options_, options_.max_read_bytes, work->plan), constructed.paths));
  const auto compute = [&](std::function<void(SweepWork&, const std::function<bool()>& cancelled)> body) {
    return RenamePaths(OnPoolPatiently(call,
                                       [work, body](const std::function<bool()>& cancelled) {
                                         body(*work, cancelled);
                                         return absl::OkStatus();
                                       }),
                       constructed.paths);
  };
  RETURN_IF_ERROR(compute(Begin));
  if (static_cast<int64_t>(work->sweep.cells.size()) > options_.max_forwards_per_run) {
    return InvalidField("grid", absl::StrCat("has ", work->sweep.cells.size(), " cells, expected at most ",
                                             options_.max_forwards_per_run, "; sweep fewer layers"));
  }
  v1::SweepPart part;
  FillHeader(*work, *part.mutable_header());
  *work->response.mutable_header() = part.header();
  if (!write(part)) return absl::CancelledError("the caller gave up; nothing was stored");

  const int64_t length = work->plan.run.documents[static_cast<size_t>(work->options.base)].length();
  const size_t count = work->sweep.cells.size();
  absl::Status status;
  int64_t controlled = -1;  // the last row that has its controls
  ForEachPart(static_cast<size_t>(request.first_cell()), count, length, [&](size_t begin, size_t end) {
    auto metrics = std::make_shared<std::vector<double>>();
    status = compute([metrics, begin, end, controlled](SweepWork& w, const std::function<bool()>& cancelled) {
      for (int64_t row = std::max(controlled + 1, w.sweep.cells[begin].row);
           w.request.control_count() > 0 && row <= w.sweep.cells[end - 1].row; ++row) {
        for (const double metric : MetricsOf(w, MakeControls(w, row, cancelled), cancelled)) {
          const double base = w.metrics[static_cast<size_t>(w.options.base)];
          w.controls[static_cast<size_t>(row)].push_back(metric - base);
        }
      }
      std::vector<Intervention> interventions;
      for (size_t i = begin; i < end; ++i) interventions.push_back(w.sweep.cells[i].intervention);
      *metrics = MetricsOf(w, std::move(interventions), cancelled);
    });
    if (!status.ok()) return false;
    controlled = std::max(controlled, work->sweep.cells[end - 1].row);
    v1::SweepPart cells;
    for (size_t i = begin; i < end; ++i) {
      FillCell(*work, work->sweep.cells[i], (*metrics)[i - begin], *cells.mutable_cells()->add_cells());
    }
    work->response.mutable_cells()->MergeFrom(cells.cells().cells());
    if (write(cells)) return true;
    status = absl::CancelledError("the caller gave up; nothing was stored");
    return false;
  });
  RETURN_IF_ERROR(status);
  FillQValues(work->response);

  record.run_id = NewUuid();
  record.model = work->plan.model->name;
  record.created_at = absl::Now();
  work->response.set_run_id(record.run_id);
  *work->response.mutable_provenance() = MakeProvenance(work->plan, call, work->duration_ms);
  record.provenance = work->response.provenance().SerializeAsString();
  record.result = DeterministicBytes(work->response);
  return StoreAnswer(record);
}

absl::Status App::Sweep(const v1::SweepRequest& request, CallContext& call,
                        const std::function<bool(const v1::SweepPart& part)>& write) {
  return Guard([&]() -> absl::Status {
    RunRecord record;
    RETURN_IF_ERROR(StartRecord(request, v1::RUN_KIND_SWEEP, call, record));
    if (record.result.empty()) RETURN_IF_ERROR(ComputeSweep(request, call, write, record));
    v1::SweepPart part;
    if (!part.mutable_response()->ParseFromString(record.result)) {
      return absl::InternalError("the answer could not be read back");
    }
    write(part);
    return absl::OkStatus();
  });
}

absl::Status App::AlignDocuments(const v1::AlignDocumentsRequest& request, v1::AlignDocumentsResponse& response) {
  return Guard([&]() -> absl::Status {
    RETURN_IF_ERROR(CheckNoUnknownFields(request));
    ASSIGN_OR_RETURN(const lifescope::AlignmentRule rule, AlignmentOf(request.rule(), "rule"));
    const ModelArtifact* model = nullptr;
    RETURN_IF_ERROR(CatchInField("model", [&] { model = &registry_->Model(request.model()); }));
    PlannedDocument base, donor;
    RETURN_IF_ERROR(PlanDocument(request.base(), *model, *registry_, "base", base));
    RETURN_IF_ERROR(PlanDocument(request.donor(), *model, *registry_, "donor", donor));
    const Alignment alignment = Align(base.document, donor.document, rule);
    for (const auto& [mine, theirs] : alignment.pairs) {
      response.add_base_positions(static_cast<int32_t>(mine));
      response.add_donor_positions(static_cast<int32_t>(theirs));
    }
    response.mutable_base_only()->Add(alignment.base_only.begin(), alignment.base_only.end());
    response.mutable_donor_only()->Add(alignment.donor_only.begin(), alignment.donor_only.end());
    return absl::OkStatus();
  });
}

}  // namespace lifescope
