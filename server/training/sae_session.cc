#include "server/training/sae_session.h"

#include <ATen/ATen.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <utility>

#include "server/dictionary/input_scale.h"

namespace lifescope {
namespace {

const char kSource[] = "source.";
const char kStep[] = "step";
const char kScales[] = "scales";
const char kLastLoss[] = "last_loss";
const char kStoppedAt[] = "stopped_at";  // 0: not stopped

int64_t WidthOf(const std::vector<ActivationSite>& sites, const std::vector<size_t>& chosen) {
  int64_t width = 0;
  for (const size_t site : chosen) width += sites.at(site).width;
  return width;
}

std::string Prefix(const std::string& name) { return "dictionary." + name + "."; }

// [width]: each site's scale for each of its columns.
at::Tensor ColumnScales(const std::vector<ActivationSite>& sites, const std::vector<size_t>& chosen,
                        const std::vector<double>& scales) {
  std::vector<at::Tensor> columns;
  for (size_t i = 0; i < chosen.size(); ++i)
    columns.push_back(at::full({sites[chosen[i]].width}, scales[i], at::kDouble));
  return at::cat(columns);
}

}  // namespace

SaeSession::SaeSession(std::shared_ptr<ActivationSource> source, std::vector<SaePlan> plans,
                       const SaeSessionOptions& options)
    : source_(std::move(source)), options_(options) {
  TORCH_CHECK_VALUE(!plans.empty(), "no dictionary to train, expected at least one");
  int64_t column = 0;
  for (const ActivationSite& site : source_->sites()) {
    first_column_.push_back(column);
    column += site.width;
  }
  const at::Tensor rows = source_->Peek(options_.buffer_rows);
  for (SaePlan& plan : plans) {
    const int64_t input = WidthOf(source_->sites(), plan.input_sites);
    const int64_t target = WidthOf(source_->sites(), plan.target_sites);
    TORCH_CHECK_VALUE(plan.objective->input_dim() == input && plan.objective->output_dim() == target, plan.name,
                      ": reads ", plan.objective->input_dim(), " and writes ", plan.objective->output_dim(),
                      " dimensions, expected those of its hook points, ", input, " and ", target);
    TORCH_CHECK_VALUE(plan.scale != ActivationScale::kLayerNorm ||
                          (plan.input_sites.size() == 1 && plan.target_sites == plan.input_sites),
                      plan.name, ": normalisation is layer_norm, expected another for a crosscoder or transcoder");
    SaeTrainer trainer(plan.objective, plan.options);
    running_.push_back({std::move(plan), {}, std::move(trainer)});
    EstimateScales(running_.back(), rows);
  }
}

void SaeSession::EstimateScales(Running& running, const at::Tensor& rows) const {
  const auto estimate = [&](const std::vector<size_t>& sites) {
    std::vector<double> scales;
    for (const size_t site : sites) {
      const at::Tensor columns = rows.narrow(1, first_column_[site], source_->sites()[site].width);
      scales.push_back(EstimateScale(running.plan.scale, columns));
    }
    return scales;
  };
  running.scales = {estimate(running.plan.input_sites), estimate(running.plan.target_sites)};
}

at::Tensor SaeSession::Columns(ActivationScale scale, const at::Tensor& rows, const std::vector<size_t>& sites,
                               const std::vector<double>& scales) const {
  std::vector<at::Tensor> columns;
  for (size_t i = 0; i < sites.size(); ++i) {
    const at::Tensor site = rows.narrow(1, first_column_[sites[i]], source_->sites()[sites[i]].width);
    columns.push_back(ScaleRows(scale, scales[i], site));
  }
  return columns.size() == 1 ? columns[0] : at::cat(columns, 1);
}

TrainingRows SaeSession::RowsOf(const Running& running, const at::Tensor& rows) const {
  const SaePlan& plan = running.plan;
  const at::Tensor input = Columns(plan.scale, rows, plan.input_sites, running.scales.input);
  if (plan.target_sites == plan.input_sites) return {input, input};
  return {input, Columns(plan.scale, rows, plan.target_sites, running.scales.target)};
}

int64_t SaeSession::Resample(Running& running, const at::Tensor& batch) {
  if (!running.trainer.WantsResampling()) return 0;
  // After a batch so many rows are held at least. More would be mixed anew for it, and all dictionaries would read
  // other rows than without.
  const int64_t held = options_.buffer_rows / 2 - options_.batch_rows;
  const int64_t count = std::min(running.plan.options.resampling->rows, held);
  return running.trainer.Resample(RowsOf(running, count > 0 ? source_->Peek(count) : batch));
}

std::vector<std::optional<SaeStep>> SaeSession::Step() {
  const at::Tensor rows = source_->Next(options_.batch_rows);
  ++step_;
  std::vector<std::optional<SaeStep>> steps(running_.size());
  for (size_t i = 0; i < running_.size(); ++i) {
    Running& running = running_[i];
    if (running.stop) continue;
    try {
      SaeStep step = running.trainer.Step(RowsOf(running, rows));
      running.last_loss = step.loss;
      step.resampled_feature_count += Resample(running, rows);
      steps[i] = std::move(step);
    } catch (const DivergedError&) {
      running.stop = SaeStop{step_, running.last_loss};
    } catch (const c10::ValueError& error) {
      TORCH_CHECK_VALUE(false, "dictionary ", running.plan.name, ": ", error.msg());
    }
  }
  return steps;
}

bool SaeSession::all_stopped() const {
  return std::all_of(running_.begin(), running_.end(), [](const Running& running) { return running.stop.has_value(); });
}

DictionaryWeights SaeSession::Export(size_t index) const {
  const Running& running = running_.at(index);
  const SaePlan& plan = running.plan;
  Parameters parameters = running.trainer.parameters();
  if (plan.options.average_decay > 0) {
    // What such a training is after; the mean of unit directions is a little shorter than one.
    parameters = running.trainer.AverageParameters();
    if (plan.options.constraint.normalise != DecoderConstraint::Normalise::kNever) {
      NormaliseRows(DecoderConstraint::kEpsilonOfType, parameters[kDecoder]);
    }
  }
  DictionaryWeights weights = plan.objective->Export(parameters, running.trainer.state());
  if (plan.scale == ActivationScale::kLayerNorm) weights.normalisation = Normalisation::kLayerNorm;
  if (plan.input_sites.size() == 1 && plan.target_sites == plan.input_sites) {
    weights = FoldInputScale(std::move(weights), running.scales.input[0], FeatureUnits::kOfRows);
  } else {
    weights =
        FoldColumnScales(std::move(weights), ColumnScales(source_->sites(), plan.input_sites, running.scales.input),
                         ColumnScales(source_->sites(), plan.target_sites, running.scales.target));
  }
  // Folding is done in float64, and only its result is rounded.
  for (auto& [name, tensor] : weights.tensors) tensor = tensor.to(plan.options.dtype);
  return weights;
}

SavedState SaeSession::State() const {
  SavedState state;
  PutUnder(kSource, source_->State(), state);
  for (const Running& running : running_) {
    const std::string prefix = Prefix(running.plan.name);
    PutUnder(prefix, running.trainer.State(), state);
    std::vector<double> scales = running.scales.input;
    scales.insert(scales.end(), running.scales.target.begin(), running.scales.target.end());
    state[prefix + kScales] = at::tensor(scales, at::kDouble);
    state[prefix + kLastLoss] = at::tensor({running.last_loss}, at::kDouble);
    state[prefix + kStoppedAt] = Int64Tensor({running.stop ? running.stop->step : 0});
  }
  state[kStep] = Int64Tensor({step_});
  return state;
}

void SaeSession::Restore(const SavedState& state) {
  const int64_t step = Int64Values(state, kStep, 1)[0];
  source_->Restore(Under(kSource, state));
  for (Running& running : running_) {
    const SavedState own = Under(Prefix(running.plan.name), state);
    running.trainer.Restore(own);
    const at::Tensor scales = SavedTensor(own, kScales, at::kDouble).contiguous();
    auto& [input, target] = running.scales;
    TORCH_CHECK_VALUE(scales.numel() == static_cast<int64_t>(input.size() + target.size()),
                      "saved state: ", running.plan.name, " has ", scales.numel(), " scales, expected ",
                      input.size() + target.size());
    const double* values = scales.data_ptr<double>();
    input.assign(values, values + input.size());
    target.assign(values + input.size(), values + scales.numel());
    running.last_loss = SavedTensor(own, kLastLoss, at::kDouble).item<double>();
    running.stop.reset();
    if (const int64_t step_of_stop = Int64Values(own, kStoppedAt, 1)[0]; step_of_stop > 0) {
      running.stop = SaeStop{step_of_stop, running.last_loss};
    }
  }
  step_ = step;
}

}  // namespace lifescope
