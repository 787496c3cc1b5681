#include "server/training/activation_shards.h"

#include <ATen/ATen.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <numeric>

#include "server/artifact/artifact.h"
#include "server/artifact/json_object.h"
#include "server/artifact/safetensors.h"

namespace lifescope {
namespace {

namespace fs = std::filesystem;

const char kIndexFile[] = "activations.json";
const char kFormat[] = "lifescope activations 1";
const char kTensor[] = "activations";

std::string ShardFile(size_t index) {
  char name[40];
  std::snprintf(name, sizeof(name), "shard-%05zu.safetensors", index);
  return name;
}

}  // namespace

void WriteActivationShards(const std::string& folder, ActivationSource& source, int64_t rows, int64_t shard_rows,
                           const std::string& origin, const std::function<void(int64_t)>& progress) {
  TORCH_CHECK_VALUE(rows > 0 && shard_rows > 0, "rows ", rows, ", shard_rows ", shard_rows,
                    ": expected at least 1 of each");
  // Sources serve no more at once than they hold for shuffling.
  constexpr int64_t kRowsAtOnce = 1024;
  WriteFolderAtomically(folder, [&](const std::string& partial) {
    nlohmann::json sites = nlohmann::json::array(), shards = nlohmann::json::array();
    for (const ActivationSite& site : source.sites()) sites.push_back({{"name", site.name}, {"width", site.width}});
    for (int64_t written = 0; written < rows;) {
      const int64_t in_shard = std::min(shard_rows, rows - written);
      std::vector<at::Tensor> parts;
      for (int64_t begin = 0; begin < in_shard; begin += kRowsAtOnce) {
        parts.push_back(source.Next(std::min(kRowsAtOnce, in_shard - begin)).to(at::kCPU, at::kFloat).clone());
        progress(written + begin + parts.back().size(0));
      }
      const std::string file = ShardFile(shards.size()), path = fs::path(partial) / file;
      WriteSafetensors(path, {{kTensor, at::cat(parts)}}, {});
      shards.push_back({{"file", file}, {"rows", in_shard}, {"sha256", Sha256OfFile(path)}});
      written += in_shard;
    }
    const nlohmann::json index{{"format", kFormat},
                               {"dtype", "float32"},
                               {"sites", sites},
                               {"shards", shards},
                               {"origin", nlohmann::json::parse(origin)}};
    WriteFileAtomically(fs::path(partial) / kIndexFile, index.dump(2) + "\n");
  });
}

ActivationShards ReadActivationShards(const std::string& folder) {
  const std::string path = fs::path(folder) / kIndexFile;
  const std::string text = ReadFile(path);
  ActivationShards result = ParseJson(path, text, [&](const nlohmann::json& parsed) {
    const JsonObject index(parsed, path);
    index.OnlyKeys({"format", "dtype", "sites", "shards", "origin"});
    index.OneOf("format", {kFormat});
    index.OneOf("dtype", {"float32"});
    ActivationShards read;
    for (const auto& value : index.At("sites")) {
      const JsonObject site(value, "sites");
      site.OnlyKeys({"name", "width"});
      read.sites.push_back({site.Text("name"), site.PositiveInteger("width")});
    }
    for (const auto& value : index.At("shards")) {
      const JsonObject shard(value, "shards");
      shard.OnlyKeys({"file", "rows", "sha256"});
      read.shards.push_back({shard.Text("file"), shard.PositiveInteger("rows"), shard.Text("sha256")});
      TORCH_CHECK_VALUE(read.shards.back().file.find('/') == std::string::npos, "shard '", read.shards.back().file,
                        "': expected a file of this folder");
    }
    TORCH_CHECK_VALUE(!read.sites.empty() && !read.shards.empty(), read.sites.size(), " sites and ", read.shards.size(),
                      " shards, expected at least one of each");
    read.origin = index.At("origin").dump();
    return read;
  });
  result.digest = Sha256(text);
  return result;
}

ShardStream::ShardStream(const std::string& folder, int64_t buffer_rows, uint64_t seed)
    : folder_(folder), shards_(ReadActivationShards(folder)), random_(seed), buffer_(buffer_rows) {
  order_.resize(shards_.shards.size());
  std::iota(order_.begin(), order_.end(), int64_t{0});
  random_.Shuffle(order_);
}

int64_t ShardStream::epoch_rows() const {
  int64_t rows = 0;
  for (const ActivationShards::Shard& shard : shards_.shards) rows += shard.rows;
  return rows;
}

at::Tensor ShardStream::Next(int64_t rows) {
  return buffer_.Next(rows, random_, [this] { return NextShard(); });
}

at::Tensor ShardStream::Peek(int64_t rows) {
  return buffer_.Peek(rows, random_, [this] { return NextShard(); });
}

at::Tensor ShardStream::NextShard() {
  if (next_ == order_.size()) {
    random_.Shuffle(order_);
    next_ = 0;
  }
  const size_t index = static_cast<size_t>(order_[next_++]);
  const ActivationShards::Shard& shard = shards_.shards[index];
  const std::string path = fs::path(folder_) / shard.file;
  if (verified_.count(index) == 0) {
    const std::string digest = Sha256OfFile(path);
    TORCH_CHECK_VALUE(digest == shard.sha256, path, ": has digest ", digest, ", expected ", shard.sha256);
    verified_.insert(index);
  }
  const SafetensorsFile file = SafetensorsFile::Open(path);
  TORCH_CHECK_VALUE(file.Contains(kTensor), file.path(), ": tensor '", kTensor, "' is missing");
  const at::Tensor rows = file.Read(kTensor);
  const std::vector<int64_t> expected{shard.rows, TotalWidth(shards_.sites)};
  TORCH_CHECK_VALUE(rows.sizes() == expected && rows.scalar_type() == at::kFloat, file.path(), ": tensor '", kTensor,
                    "' is ", rows.scalar_type(), " ", rows.sizes(), ", expected Float ", at::IntArrayRef(expected));
  TORCH_CHECK_VALUE(at::isfinite(rows).all().item<bool>(), file.path(), ": tensor '", kTensor,
                    "' has a value that is NaN or infinite, expected finite values");
  return rows;
}

SavedState ShardStream::State() const {
  SavedState state;
  state["random"] = ToTensor(random_);
  state["shards"] = Int64Tensor(order_);
  state["next_shard"] = Int64Tensor({static_cast<int64_t>(next_)});
  buffer_.Save(state);
  return state;
}

void ShardStream::Restore(const SavedState& state) {
  const Random::State random = RandomStateOf(state, "random");
  const std::vector<int64_t> order = OrderOf(state, "shards", order_);
  const int64_t next = Int64Values(state, "next_shard", 1)[0];
  TORCH_CHECK_VALUE(next >= 0 && next <= static_cast<int64_t>(order.size()), "shard stream state: the next shard is ",
                    next, ", expected at most ", order.size());
  buffer_.Load(state, TotalWidth(shards_.sites), at::kFloat, at::kCPU);
  random_.set_state(random);
  order_ = order;
  next_ = static_cast<size_t>(next);
}

}  // namespace lifescope
