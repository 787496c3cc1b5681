#include "tests/corpus/written_hdf5.h"

#include <gtest/gtest.h>
#include <hdf5.h>

#include <algorithm>

namespace lifescope {
namespace {

// Writes one dataset of `type` with the extent `dimensions`; without values it has no bytes.
void WriteDataset(const std::string& path, const std::string& name, hid_t type, const std::vector<hsize_t>& dimensions,
                  hid_t properties, const void* values) {
  const hid_t file = H5Fcreate(path.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
  const hid_t space = H5Screate_simple(static_cast<int>(dimensions.size()), dimensions.data(), nullptr);
  const hid_t dataset = H5Dcreate2(file, name.c_str(), type, space, H5P_DEFAULT, properties, H5P_DEFAULT);
  if (values != nullptr) {
    ASSERT_GE(H5Dwrite(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values), 0) << path;
  }
  H5Dclose(dataset);
  H5Sclose(space);
  H5Fclose(file);
}

hid_t FixedString(size_t bytes) {
  const hid_t type = H5Tcopy(H5T_C_S1);
  H5Tset_size(type, bytes);
  H5Tset_strpad(type, H5T_STR_NULLPAD);
  return type;
}

}  // namespace

void WriteHdf5Rows(const std::string& path, const std::vector<std::string>& rows, const std::string& name,
                   uint64_t chunk_rows) {
  size_t longest = 1;
  for (const std::string& row : rows) longest = std::max(longest, row.size());
  std::string bytes;
  for (const std::string& row : rows) bytes += row + std::string(longest - row.size(), '\0');
  const hid_t type = FixedString(longest);
  const hid_t properties = H5Pcreate(H5P_DATASET_CREATE);
  const hsize_t chunk = std::min<hsize_t>(chunk_rows, rows.size());
  H5Pset_chunk(properties, 1, &chunk);
  H5Pset_deflate(properties, 9);
  WriteDataset(path, name, type, {rows.size()}, properties, bytes.data());
  H5Pclose(properties);
  H5Tclose(type);
}

void WriteHdf5Numbers(const std::string& path) {
  const std::vector<int64_t> numbers = {1, 2, 3};
  WriteDataset(path, "data", H5T_NATIVE_INT64, {3}, H5P_DEFAULT, numbers.data());
}

void WriteHdf5Matrix(const std::string& path) {
  const hid_t type = FixedString(2);
  WriteDataset(path, "data", type, {2, 2}, H5P_DEFAULT, "aabbccdd");
  H5Tclose(type);
}

void WriteHdf5VariableStrings(const std::string& path) {
  const hid_t type = H5Tcopy(H5T_C_S1);
  H5Tset_size(type, H5T_VARIABLE);
  const std::vector<const char*> rows = {"{}", "{\"a\":1}"};
  WriteDataset(path, "data", type, {2}, H5P_DEFAULT, rows.data());
  H5Tclose(type);
}

void WriteHdf5Piece(const std::string& path) {
  const hid_t type = FixedString(2);
  WriteDataset(path, "data", type, {3}, H5P_DEFAULT, "aabbcc");
  H5Tclose(type);
}

void WriteHdf5Promise(const std::string& path, uint64_t row_count) {
  const hid_t type = FixedString(100);
  WriteDataset(path, "data", type, {row_count}, H5P_DEFAULT, nullptr);
  H5Tclose(type);
}

void WriteHdf5Link(const std::string& path, const std::string& target) {
  const hid_t file = H5Fcreate(path.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
  H5Lcreate_external(target.c_str(), "data", file, "data", H5P_DEFAULT, H5P_DEFAULT);
  H5Fclose(file);
}

}  // namespace lifescope
