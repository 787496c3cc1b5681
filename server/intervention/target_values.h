// What the channels of an edit's target are worth in given activations, and the size of their units.
#pragma once

#include <ATen/core/Tensor.h>

#include "server/intervention/run.h"
#include "server/model/hyperparameters.h"

namespace lifescope {

// v / |v|, [width] of the options' dtype and device.
at::Tensor UnitVector(const DirectionTarget& target, const at::TensorOptions& options);

// x - decode(encode(x)): [rows, channels] -> [rows, channels].
at::Tensor ReconstructionError(const Dictionary& dictionary, const at::Tensor& x);

// The target's channels in activation rows of its hook point: [rows, width] -> [rows, channels].
at::Tensor TargetValues(const Run& run, const EditTarget& target, const Hyperparameters& hyperparameters,
                        const at::Tensor& rows);

// The statistic that a unit counts, per channel: FLOAT64 [values, channels] -> [channels]. 0 where there are no values.
at::Tensor UnitSize(const Unit& unit, const at::Tensor& values);

}  // namespace lifescope
