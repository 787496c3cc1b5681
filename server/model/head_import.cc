#include "server/model/head_import.h"

#include <ATen/ATen.h>
#include <c10/util/Exception.h>

#include "server/model/checkpoint_file.h"
#include "server/model/named_tensors.h"

namespace lifescope {
namespace {

// Sizes that the description does not say stand in the tensors.
int64_t RowsOf(const StateDict& state, const std::string& name) {
  const at::Tensor tensor = state.Read(name);
  TORCH_CHECK_VALUE(tensor.dim() == 2, state.Where(name), " has shape ", tensor.sizes(), ", expected a matrix");
  return tensor.size(0);
}

}  // namespace

std::string ImportHead(const HeadImportOptions& options, const std::string& folder) {
  const CheckpointFile file = OpenCheckpointFile(options.file);
  TORCH_CHECK_VALUE(!file.decoder.tensors.empty(), options.file,
                    ": no tensor is called decoder.*, expected a fine-tuned checkpoint");
  const Decoder kind = DecoderOfKind(options.kind);
  const HeadDescription& description = options.description;
  TORCH_CHECK_VALUE(!description.targets.empty(), "no target, expected at least one");
  DecoderShape shape;
  shape.hidden_size = options.hidden_size;
  shape.output_count = static_cast<int64_t>(description.targets.size() * description.targets.front().classes.size());
  if (std::holds_alternative<FlatDecoder>(kind)) shape.hidden_ff = RowsOf(file.decoder, "decoder.ff.weight");
  if (std::holds_alternative<OrdinalDecoder>(kind)) shape.context_count = RowsOf(file.decoder, "decoder.context");
  WriteHead(folder, ClassifierHead(description, ReadDecoder(file.decoder, options.kind, shape, file.dtype, at::kCPU)));
  return LoadHead(folder, at::kFloat, at::kCPU).digest;
}

}  // namespace lifescope
