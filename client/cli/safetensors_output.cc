#include "client/cli/safetensors_output.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/cli/run_labels.h"
#include "client/cli/wire_values.h"
#include "nlohmann/json.hpp"

namespace lifescope {
namespace {

constexpr size_t kAlignment = 8;

const char* TypeName(v1::DataType type) {
  switch (type) {
    case v1::DATA_TYPE_FLOAT32:
      return "F32";
    case v1::DATA_TYPE_FLOAT64:
      return "F64";
    case v1::DATA_TYPE_INT64:
      return "I64";
    default:
      return "I32";
  }
}

std::string LittleEndian(uint64_t value) {
  std::string bytes;
  for (int shift = 0; shift < 64; shift += 8) bytes += static_cast<char>(value >> shift & 0xFF);
  return bytes;
}

void AddTensors(const std::string& prefix, const v1::DocumentResult& result, const std::vector<std::string>& reads,
                std::map<std::string, v1::Tensor>& tensors) {
  for (const v1::ReadValue& value : result.values()) {
    const bool is_known = value.read() >= 0 && value.read() < static_cast<int32_t>(reads.size());
    const std::string name =
        absl::StrCat(prefix, "/", result.document(), "/", is_known ? reads[value.read()] : "unknown");
    if (value.has_tensor()) tensors[name] = value.tensor();
    if (value.has_features()) {
      tensors[name + "/positions"] = value.features().positions();
      tensors[name + "/row_offsets"] = value.features().row_offsets();
      tensors[name + "/features"] = value.features().features();
      tensors[name + "/values"] = value.features().values();
    }
  }
}

absl::Status WriteError(const std::string& path) {
  return absl::UnknownError(absl::StrCat("cannot write '", path, "': ", std::strerror(errno)));
}

bool WriteAll(int file, const std::string& bytes) {
  for (size_t done = 0; done < bytes.size();) {
    const ssize_t count = write(file, bytes.data() + done, bytes.size() - done);
    if (count < 0 && errno != EINTR) return false;
    if (count > 0) done += count;
  }
  return fsync(file) == 0;
}

}  // namespace

absl::StatusOr<std::string> SafetensorsBytes(const std::map<std::string, v1::Tensor>& tensors,
                                             const std::map<std::string, std::string>& metadata) {
  std::vector<std::string> order;
  for (const auto& [name, tensor] : tensors) {
    const absl::Status status = ToDoubles(tensor).status();
    if (!status.ok()) return absl::DataLossError(absl::StrCat(name, ": ", std::string(status.message())));
    order.push_back(name);
  }
  std::stable_sort(order.begin(), order.end(), [&tensors](const std::string& a, const std::string& b) {
    return ElementSize(tensors.at(a).data_type()) > ElementSize(tensors.at(b).data_type());
  });

  nlohmann::ordered_json header = nlohmann::ordered_json::object();
  if (!metadata.empty()) header["__metadata__"] = metadata;
  std::string data;
  for (const std::string& name : order) {
    const v1::Tensor& tensor = tensors.at(name);
    header[name]["dtype"] = TypeName(tensor.data_type());
    header[name]["shape"] = std::vector<int64_t>(tensor.shape().begin(), tensor.shape().end());
    header[name]["data_offsets"] = {data.size(), data.size() + tensor.data().size()};
    data += tensor.data();
  }
  std::string text = header.dump();
  text.append((kAlignment - text.size() % kAlignment) % kAlignment, ' ');
  return absl::StrCat(LittleEndian(text.size()), text, data);
}

std::map<std::string, v1::Tensor> NamedTensors(const v1::Run& run, const v1::RunResult& result) {
  const std::vector<std::string> reads = ReadLabels(run);
  const std::vector<std::string> interventions = InterventionLabels(run);
  std::map<std::string, v1::Tensor> tensors;
  for (const v1::DocumentResult& document : result.clean()) AddTensors("clean", document, reads, tensors);
  for (int index = 0; index < result.interventions_size() && index < run.interventions_size(); ++index) {
    for (const v1::DocumentResult& document : result.interventions(index).documents()) {
      AddTensors(interventions[index], document, reads, tensors);
    }
  }
  return tensors;
}

absl::Status WriteFile(const std::string& path, const std::string& bytes) {
  const std::string temporary = absl::StrCat(path, ".part", getpid());
  const int file = open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (file < 0) return WriteError(path);
  const bool is_written = WriteAll(file, bytes);
  absl::Status status = is_written ? absl::OkStatus() : WriteError(path);
  if (close(file) != 0 && status.ok()) status = WriteError(path);
  if (status.ok() && std::rename(temporary.c_str(), path.c_str()) != 0) status = WriteError(path);
  if (!status.ok()) unlink(temporary.c_str());
  return status;
}

}  // namespace lifescope
