#include <algorithm>
#include <cmath>
#include <fstream>
#include <limits>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "client/cli/alignment_argument.h"
#include "client/cli/answers.h"
#include "client/cli/format.h"
#include "client/cli/heat_map.h"
#include "client/cli/message_json.h"
#include "client/cli/metric_argument.h"
#include "client/cli/number_list.h"
#include "client/cli/safetensors_output.h"
#include "client/cli/session.h"
#include "client/cli/table.h"
#include "google/protobuf/util/json_util.h"

namespace lifescope {
namespace {

struct SweepOptions {
  DocumentSource clean, corrupted;
  DocumentOptions documents;
  MetricOptions metric;
  std::string model, dictionary, site, layers, save, plot;
  v1::SweepGrid grid = v1::SWEEP_GRID_LAYER_BY_EVENT;
  v1::PatchDirection direction = v1::PATCH_DIRECTION_DENOISING;
  v1::AlignmentRule alignment = v1::ALIGNMENT_RULE_SLOT;
  int32_t layer = 0;
  int32_t controls = 0;
  uint64_t seed = 1;
  int32_t n_slots = 0;
  int32_t top = 10;
};

void Define(CLI::App& verb, SweepOptions& options) {
  AddDocumentSource(verb, options.clean, "clean-", "The clean life, whose answer is A");
  AddDocumentSource(verb, options.corrupted, "corrupted-", "The corrupted life, whose answer is B (none: set to 0)");
  AddDocumentOptions(verb, options.documents);
  AddMetricOptions(verb, options.metric);
  const std::vector<std::pair<std::string, v1::SweepGrid>> grids = {
      {"events", v1::SWEEP_GRID_LAYER_BY_EVENT}, {"positions", v1::SWEEP_GRID_LAYER_BY_POSITION},
      {"heads", v1::SWEEP_GRID_LAYER_BY_HEAD},   {"head-positions", v1::SWEEP_GRID_HEAD_BY_POSITION},
      {"neurons", v1::SWEEP_GRID_NEURONS},       {"features", v1::SWEEP_GRID_FEATURES}};
  verb.add_option(
          "--grid", options.grid,
          "Layers by events (default), by positions, by heads; one layer's heads by positions; its neurons; features")
      ->transform(CLI::CheckedTransformer(grids))
      ->option_text("events|positions|heads|head-positions|neurons|features");
  const std::vector<std::pair<std::string, v1::PatchDirection>> directions = {
      {"denoise", v1::PATCH_DIRECTION_DENOISING}, {"noise", v1::PATCH_DIRECTION_NOISING}};
  verb.add_option("--direction", options.direction, "As in patch: is it enough (denoise, default), or needed (noise)?")
      ->transform(CLI::CheckedTransformer(directions))
      ->option_text("denoise|noise");
  AddAlignmentRule(verb, options.alignment);
  verb.add_option("--site", options.site, "Of events and positions: hook_resid_post (default), hook_attn_out, ...")
      ->option_text("NAME");
  verb.add_option("--layers", options.layers, "Only these layers")->option_text("LIST");
  verb.add_option("--layer", options.layer, "Of head-positions and neurons")->check(CLI::NonNegativeNumber);
  verb.add_option("--dictionary", options.dictionary, "Of the features (default: the model's only one)")
      ->option_text("NAME");
  verb.add_option("--controls", options.controls, "Random directions per row to compare with: adds p and q")
      ->check(CLI::NonNegativeNumber);
  verb.add_option("--seed", options.seed, "Of those")->capture_default_str();
  verb.add_option("--save", options.save, "Keep the cells in this CSV as they come; go on with it after a break")
      ->option_text("FILE");
  verb.add_option("--plot", options.plot, "Heat map as SVG")->option_text("FILE");
  verb.add_option("--top", options.top, "Cells that are listed")->capture_default_str()->check(CLI::PositiveNumber);
  verb.add_option("--model", options.model, "Model (default: the only one)")->option_text("NAME");
  verb.add_option("--n-slots", options.n_slots, "Padded length that global heads count (default: the model's)");
  verb.footer(R"(Examples:
  lifescope sweep --clean-person 17 --corrupted-person 21 --align date --mask 57 --metric-at 57 --tokens IND_4662,IND_2110
                                                     through which event at which layer the answer goes
  lifescope sweep ... --grid heads --controls 50     which heads carry it, and whether a random direction would too
  lifescope sweep --clean-person 17 --class cardiac --grid features --save features.csv
                                                     every active feature set to 0

Effect: 0 is the corrupted answer, 1 the clean one; without a corrupted life the change of the number.)");
}

absl::StatusOr<v1::SweepRequest> MakeRequest(const SweepOptions& options) {
  v1::SweepRequest request;
  const absl::StatusOr<v1::Document> clean = ReadDocument(options.clean, options.documents);
  if (!clean.ok()) return clean.status();
  *request.mutable_clean() = *clean;
  if (!options.corrupted.persons.empty() || !options.corrupted.lives.empty()) {
    const absl::StatusOr<v1::Document> corrupted = ReadDocument(options.corrupted, options.documents);
    if (!corrupted.ok()) return corrupted.status();
    *request.mutable_corrupted() = *corrupted;
    request.set_direction(options.direction);
    request.set_alignment(options.alignment);
  }
  const absl::StatusOr<v1::Metric> metric = ReadMetric(options.metric);
  if (!metric.ok()) return metric.status();
  *request.mutable_metric() = *metric;
  if (!options.layers.empty()) {
    const absl::StatusOr<std::vector<int32_t>> layers = ParseIndices("--layers", options.layers);
    if (!layers.ok()) return layers.status();
    request.mutable_layers()->Add(layers->begin(), layers->end());
  }
  request.set_model(options.model);
  request.set_grid(options.grid);
  request.set_site(options.site);
  request.set_layer(options.layer);
  request.set_dictionary(options.dictionary);
  request.set_control_count(options.controls);
  request.set_seed(options.seed);
  request.set_n_slots(options.n_slots);
  return request;
}

// Cells of a sweep on disk, a line each: what a broken sweep goes on from. The first line is the request.
class SavedCells {
 public:
  // Reads what is there. INVALID_ARGUMENT where the file is of another request or is none of ours.
  absl::Status Open(const std::string& path, const v1::SweepRequest& request) {
    std::string json;
    if (!google::protobuf::util::MessageToJsonString(request, &json).ok())
      return absl::InternalError("request as JSON");
    const std::string first = "# " + json;
    std::string line;
    if (std::ifstream file(path); file) {
      std::getline(file, line);
      if (line != first) {
        return absl::InvalidArgumentError(absl::StrCat("--save: ", path, " has the cells of another sweep"));
      }
      std::getline(file, line);
      // A line that was cut off has no end and is computed again.
      while (std::getline(file, line) && !file.eof()) {
        if (const absl::Status read = Parse(line, path); !read.ok()) return read;
      }
    }
    out_.open(path, std::ios::trunc);
    out_ << first << "\nrow,column,metric,normalized,p_value\n";
    for (const v1::SweepCell& cell : cells_) Write(cell);
    out_.flush();
    return out_ ? absl::OkStatus() : absl::InvalidArgumentError(absl::StrCat("--save: cannot write ", path));
  }

  int64_t count() const { return static_cast<int64_t>(cells_.size()); }
  const std::vector<v1::SweepCell>& cells() const { return cells_; }

  // A sweep that is tried again starts anew after the cells that were read.
  void Add(const v1::SweepPart& part, int64_t first) {
    if (part.has_header()) cells_.resize(static_cast<size_t>(first));
    for (const v1::SweepCell& cell : part.cells().cells()) {
      cells_.push_back(cell);
      if (static_cast<int64_t>(cells_.size()) > written_) Write(cell);
    }
    out_.flush();
  }

 private:
  absl::Status Parse(const std::string& line, const std::string& path) {
    const std::vector<std::string> fields = absl::StrSplit(line, ',');
    v1::SweepCell cell;
    int32_t row = 0, column = 0;
    double metric = 0, value = 0;
    if (fields.size() != 5 || !absl::SimpleAtoi(fields[0], &row) || !absl::SimpleAtoi(fields[1], &column) ||
        !absl::SimpleAtod(fields[2], &metric)) {
      return absl::InvalidArgumentError(absl::StrCat("--save: ", path, " has a line that is no cell: ", line));
    }
    cell.set_row(row);
    cell.set_column(column);
    cell.set_metric(metric);
    if (absl::SimpleAtod(fields[3], &value)) cell.set_normalized(value);
    if (absl::SimpleAtod(fields[4], &value)) cell.set_p_value(value);
    cells_.push_back(cell);
    return absl::OkStatus();
  }

  void Write(const v1::SweepCell& cell) {
    out_ << absl::StrFormat("%d,%d,%.17g,", cell.row(), cell.column(), cell.metric());
    if (cell.has_normalized()) out_ << absl::StrFormat("%.17g", cell.normalized());
    out_ << ",";
    if (cell.has_p_value()) out_ << absl::StrFormat("%.17g", cell.p_value());
    out_ << "\n";
    ++written_;
  }

  std::ofstream out_;
  std::vector<v1::SweepCell> cells_;
  int64_t written_ = 0;
};

double EffectOf(const v1::SweepCell& cell, const v1::SweepHeader& header) {
  if (cell.has_normalized()) return cell.normalized();
  return cell.metric() - (header.has_metric_corrupted() ? header.metric_corrupted() : header.metric_clean());
}

absl::StatusOr<HeatMap> ToHeatMap(const v1::SweepRequest& request, const v1::SweepResponse& response) {
  const v1::SweepHeader& header = response.header();
  HeatMap map;
  map.title = DescribeMetric(request.metric());
  map.rows.assign(header.rows().begin(), header.rows().end());
  map.columns.assign(header.columns().begin(), header.columns().end());
  map.values.assign(map.rows.size(), std::vector<double>(map.columns.size(), std::numeric_limits<double>::quiet_NaN()));
  for (const v1::SweepCell& cell : response.cells()) {
    if (cell.row() < 0 || cell.row() >= header.rows_size() || cell.column() < 0 ||
        cell.column() >= header.columns_size()) {
      return absl::DataLossError("a cell of the answer lies outside of its table");
    }
    map.values[static_cast<size_t>(cell.row())][static_cast<size_t>(cell.column())] = EffectOf(cell, header);
  }
  return map;
}

absl::Status RunSweep(const SweepOptions& options, Session& session) {
  absl::StatusOr<v1::SweepRequest> request = MakeRequest(options);
  if (!request.ok()) return request.status();
  SavedCells saved;
  if (!options.save.empty()) {
    if (const absl::Status opened = saved.Open(options.save, *request); !opened.ok()) return opened;
  }
  const int64_t first = saved.count();
  request->set_first_cell(first);
  request->set_request_id(NewRequestId());
  const std::vector<v1::SweepCell> before = saved.cells();
  absl::StatusOr<v1::SweepResponse> response = session.client->Sweep(*request, [&](const v1::SweepPart& part) {
    if (!options.save.empty()) saved.Add(part, first);
  });
  if (!response.ok()) return response.status();
  if (!before.empty()) {
    google::protobuf::RepeatedPtrField<v1::SweepCell> all(before.begin(), before.end());
    all.MergeFrom(response->cells());
    response->mutable_cells()->Swap(&all);
    response->clear_q_values();  // they are of all cells together
  }
  if (!options.plot.empty()) {
    const absl::StatusOr<HeatMap> map = ToHeatMap(*request, *response);
    if (!map.ok()) return map.status();
    if (const absl::Status written = WriteFile(options.plot, HeatMapSvg(*map)); !written.ok()) return written;
  }
  if (session.output == OutputFormat::kJson) return PrintJson(*response, session.terminal);
  return PrintSweep(session, *request, *response, options.top);
}

}  // namespace

absl::Status PrintSweep(Session& session, const v1::SweepRequest& request, const v1::SweepResponse& response, int top) {
  const absl::StatusOr<HeatMap> map = ToHeatMap(request, response);
  if (!map.ok()) return map.status();
  const v1::SweepHeader& header = response.header();
  const std::string clean = DescribeDocument(request.clean());
  std::string what = absl::StrCat(clean, ", places set to 0");
  if (request.has_corrupted()) {
    const std::string corrupted = DescribeDocument(request.corrupted());
    const bool noise = request.direction() == v1::PATCH_DIRECTION_NOISING;
    what = absl::StrCat(noise ? corrupted : clean, " patched into ", noise ? clean : corrupted);
  }
  PrintTitle(session, DescribeMetric(request.metric()), what);
  std::string metrics = absl::StrCat("  clean ", FormatNumber(header.metric_clean()));
  if (header.has_metric_corrupted()) {
    absl::StrAppend(&metrics, ", corrupted ", FormatNumber(header.metric_corrupted()));
  }
  if (header.clean_only_size() + header.corrupted_only_size() > 0) {
    absl::StrAppend(&metrics, "; without a partner: ", header.clean_only_size(), " positions of the clean life, ",
                    header.corrupted_only_size(), " of the corrupted one");
  }
  PrintLine(session.terminal, metrics);
  PrintLine(session.terminal);
  for (const Text& line : HeatMapLines(*map, session.terminal.width)) PrintLine(session.terminal, line);
  PrintLine(session.terminal);

  std::vector<int> order(static_cast<size_t>(response.cells_size()));
  for (size_t i = 0; i < order.size(); ++i) order[i] = static_cast<int>(i);
  std::stable_sort(order.begin(), order.end(), [&](int a, int b) {
    return std::abs(EffectOf(response.cells(a), header)) > std::abs(EffectOf(response.cells(b), header));
  });
  if (order.size() > static_cast<size_t>(top)) order.resize(static_cast<size_t>(top));
  using Align = Table::Align;
  Table table({{"where"},
               {""},
               {"metric", Align::kRight},
               {"effect", Align::kRight},
               {"p", Align::kRight},
               {"q", Align::kRight}},
              /*indent=*/2);
  for (const int i : order) {
    const v1::SweepCell& cell = response.cells(i);
    table.Add({header.rows(cell.row()), header.columns(cell.column()), FormatNumber(cell.metric()),
               cell.has_normalized() ? FormatFixed(cell.normalized(), 2) : FormatNumber(EffectOf(cell, header)),
               cell.has_p_value() ? FormatNumber(cell.p_value()) : "",
               i < response.q_values_size() ? FormatNumber(response.q_values(i)) : ""});
  }
  table.Print(session.terminal);
  PrintRunLine(session, response.run_id(), response.provenance());
  return absl::OkStatus();
}

void AddSweep(CLI::App& app, Action& action) {
  AddVerb<SweepOptions>(app, action, "sweep", "One edit at many places: which of them an answer goes through", Define,
                        RunSweep);
}

}  // namespace lifescope
