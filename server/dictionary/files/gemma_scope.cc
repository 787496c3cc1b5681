#include "server/dictionary/files/gemma_scope.h"

#include <ATen/ATen.h>
#include <c10/util/Exception.h>

#include <cstring>
#include <map>
#include <set>
#include <stdexcept>
#include <string_view>

#include "server/artifact/artifact.h"
#include "server/artifact/npz.h"
#include "server/artifact/zip_writer.h"
#include "server/dictionary/files/fold.h"
#include "server/dictionary/files/foreign_tensors.h"

namespace lifescope {
namespace {

const char kFile[] = "params.npz";

at::ScalarType DtypeOf(NpyElement element) {
  return element == NpyElement::kHalf ? at::kHalf : element == NpyElement::kFloat ? at::kFloat : at::kDouble;
}

at::Tensor TensorOf(const NpyArray& array) {
  at::Tensor tensor = at::empty(array.shape, at::TensorOptions().dtype(DtypeOf(array.element)));
  if (!array.data.empty()) std::memcpy(tensor.data_ptr(), array.data.data(), array.data.size());
  return tensor;
}

const std::set<std::string> kArrays{"W_enc", "w_enc", "W_dec", "w_dec", "b_enc", "b_dec", "threshold"};

std::map<std::string, at::Tensor> ReadArrays(const std::string& path) {
  const auto file = MappedFile::Open(path);
  std::string place = path;
  try {
    const NpzArchive archive(std::string_view(reinterpret_cast<const char*>(file->data()), file->size()));
    std::map<std::string, at::Tensor> arrays;
    for (const std::string& name : archive.names()) {
      place = path + ": array '" + name + "'";
      // Before it is read: a name costs nothing, an array may be inflated to a thousand times its size.
      TORCH_CHECK_VALUE(kArrays.count(name) > 0, path, ": unknown tensor '", name,
                        "', expected W_enc, W_dec, b_enc, b_dec, threshold");
      const std::string bytes = archive.Read(name);
      arrays[name] = TensorOf(ParseNpy(bytes));
    }
    return arrays;
  } catch (const std::invalid_argument& error) {
    TORCH_CHECK_VALUE(false, place, ": ", error.what());
  }
}

}  // namespace

StoredDictionary ReadGemmaScope(const std::string& folder_or_file) {
  const std::string path = FileAt(folder_or_file, kFile);
  ForeignTensors arrays(path, ReadArrays(path));
  const auto matrix = [&](const char* name, const char* lower_case) {
    return arrays.Take(arrays.Has(lower_case) ? lower_case : name, {-1, -1});
  };
  DictionaryWeights weights{"jumprelu", {}, 0, /*apply_b_dec_to_input=*/false, Normalisation::kNone};
  weights.tensors = {{"W_enc", matrix("W_enc", "w_enc")}, {"W_dec", matrix("W_dec", "w_dec")}};
  const int64_t n = weights.tensors["W_enc"].size(1), d_out = weights.tensors["W_dec"].size(1);
  for (const char* name : {"b_enc", "threshold"}) weights.tensors[name] = arrays.Take(name, {n});
  weights.tensors["b_dec"] = arrays.Take("b_dec", {d_out});
  arrays.CheckNoneLeft();
  CheckWeights(weights, path);
  return {std::move(weights), {}, DigestOfFiles({path})};
}

void WriteGemmaScope(const std::string& folder, const DictionaryWeights& given, const DictionaryInfo&) {
  CheckWeights(given, folder);
  TORCH_CHECK_VALUE(given.architecture != "topk" && given.architecture != "groupmax",
                    "gemma_scope cannot hold architecture '", given.architecture,
                    "', expected jumprelu, standard or gated");
  TORCH_CHECK_VALUE(given.normalisation == Normalisation::kNone,
                    "gemma_scope cannot hold a dictionary that normalises its input");
  TORCH_CHECK_VALUE(given.tensors.count("W_skip") == 0, "gemma_scope cannot hold a skip connection");
  const DictionaryWeights weights = AsJumpRelu(WithInputBias(given, false));
  const at::ScalarType dtype = StoredDtype(given);
  ZipRecords records;
  for (const char* name : {"W_enc", "W_dec", "b_enc", "b_dec", "threshold"}) {
    const at::Tensor stored = weights.tensors.at(name).to(at::kCPU, dtype).contiguous();
    const NpyArray array{dtype == at::kDouble ? NpyElement::kDouble : NpyElement::kFloat, stored.sizes().vec(),
                         std::string_view(static_cast<const char*>(stored.data_ptr()), stored.nbytes())};
    records.emplace_back(std::string(name) + ".npy", NpyOf(array));
  }
  WriteFolderAtomically(folder, [&](const std::string& partial) {
    std::string archive;
    try {
      archive = ZipOf(records);
    } catch (const std::invalid_argument& error) {
      TORCH_CHECK_VALUE(false, folder, ": ", error.what());
    }
    WriteFileAtomically(partial + "/" + kFile, archive);
  });
}

}  // namespace lifescope
