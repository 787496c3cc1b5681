#include "server/dictionary/training/p_annealing.h"

#include <ATen/ATen.h>
#include <c10/util/Exception.h>

#include <algorithm>

namespace lifescope {
namespace {

const char kUpdates[] = "annealing.updates";
const char kCoefficient[] = "annealing.coefficient";
const char kQueue[] = "annealing.queue";

// The i-th of `updates` values evenly from `first` to `last`.
double EvenlyAt(double first, double last, int64_t i, int64_t updates) {
  return first + (last - first) * static_cast<double>(i) / static_cast<double>(updates - 1);
}

// From before the first update on p has the first value; there is no next one then.
double ValueAfter(const PAnnealing& a, int64_t updates_done) {
  return EvenlyAt(a.first_p, a.last_p, std::clamp<int64_t>(updates_done - 1, 0, a.updates - 1), a.updates);
}

int64_t StepOfUpdate(const PAnnealing& a, int64_t i) { return a.start + (a.end - a.start) * i / (a.updates - 1); }

}  // namespace

void CheckPAnnealing(const PAnnealing& a) {
  if (a.updates == 0) return;
  TORCH_CHECK_VALUE(a.updates >= 2, "annealing updates is ", a.updates, ", expected 0 or at least 2");
  TORCH_CHECK_VALUE(0 <= a.start && a.start < a.end && a.updates <= a.end - a.start + 1, "annealing from step ",
                    a.start, " to ", a.end, ", expected 0 <= start < end and a step for each of ", a.updates,
                    " updates");
  TORCH_CHECK_VALUE(0 < a.last_p && a.last_p <= a.first_p && a.first_p <= 1, "annealing of p from ", a.first_p, " to ",
                    a.last_p, ", expected 0 < last_p <= first_p <= 1");
  TORCH_CHECK_VALUE(a.queue_length >= 1, "annealing queue_length is ", a.queue_length, ", expected at least 1");
}

void AddPAnnealing(const PAnnealing& a, double coefficient, ObjectiveState& state) {
  state[kUpdates] = at::zeros({}, at::kLong);
  state[kCoefficient] = at::scalar_tensor(coefficient, at::kDouble);
  state[kQueue] = at::full({a.queue_length, 2}, -1, at::kDouble);
}

AnnealedPenalty CurrentPenalty(const PAnnealing& a, const ObjectiveState& state) {
  const int64_t done = state.at(kUpdates).item<int64_t>();
  AnnealedPenalty current{ValueAfter(a, done), state.at(kCoefficient).item<double>(), std::nullopt};
  if (done > 0) current.next_p = ValueAfter(a, done + 1);
  return current;
}

void AdvancePAnnealing(const PAnnealing& a, int64_t step, double penalty, double next_penalty,
                       const ObjectiveState& state, ObjectiveState& next) {
  const AnnealedPenalty current = CurrentPenalty(a, state);
  int64_t done = state.at(kUpdates).item<int64_t>();
  double coefficient = current.coefficient;
  at::Tensor queue = state.at(kQueue);
  if (current.next_p) {
    const at::Tensor pair = at::empty({1, 2}, at::kDouble);
    pair[0][0].fill_(penalty);
    pair[0][1].fill_(next_penalty);
    queue = at::cat({queue.narrow(0, 1, a.queue_length - 1), pair});
  }
  if (done < a.updates && step == StepOfUpdate(a, done)) {
    if (current.next_p) {
      const at::Tensor sums = queue.clamp_min(0).sum(0);
      const double before = sums[0].item<double>(), after = sums[1].item<double>();
      if (after > 0) coefficient *= before / after;
    }
    ++done;
  }
  next[kUpdates] = at::scalar_tensor(done, at::kLong);
  next[kCoefficient] = at::scalar_tensor(coefficient, at::kDouble);
  next[kQueue] = queue;
}

}  // namespace lifescope
