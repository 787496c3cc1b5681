// Dense results as a .safetensors file, which numpy, PyTorch and lifescope itself can read.
#pragma once

#include <map>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "lifescope/v1/run_service.pb.h"

namespace lifescope {

// The bytes of a file: u64 little-endian header length, JSON header padded with blanks to 8 bytes, then the data
// without gaps, by element size descending, then name. DATA_LOSS naming a tensor whose shape and data do not agree.
absl::StatusOr<std::string> SafetensorsBytes(const std::map<std::string, v1::Tensor>& tensors,
                                             const std::map<std::string, std::string>& metadata);

// The tensors of a run's answer by name: "clean/0/<read>" or "<intervention>/0/<read>", where 0 is the document's
// index; sparse features are four tensors below that name. Reads and interventions without a name are "read0",
// "intervention0"; a name that occurs twice gets its index behind a point.
std::map<std::string, v1::Tensor> NamedTensors(const v1::Run& run, const v1::RunResult& result);

// Writes `bytes` to `path` as a whole or not at all.
absl::Status WriteFile(const std::string& path, const std::string& bytes);

}  // namespace lifescope
