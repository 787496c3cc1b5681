// Writes HDF5 files for tests.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace lifescope {

// As h5py stores a NumPy array of bytes: dataset `name`, strings of the longest row's length filled with zeros, in
// chunks of `chunk_rows`, packed with gzip.
void WriteHdf5Rows(const std::string& path, const std::vector<std::string>& rows, const std::string& name = "data",
                   uint64_t chunk_rows = 2);

// The dataset "data" as whole numbers, as a table of strings with two columns, as strings of any length.
void WriteHdf5Numbers(const std::string& path);
void WriteHdf5Matrix(const std::string& path);
void WriteHdf5VariableStrings(const std::string& path);
// "data" in one piece: the rows "aa", "bb" and "cc".
void WriteHdf5Piece(const std::string& path);
// "data" of `row_count` rows in one piece, of which none was ever written.
void WriteHdf5Promise(const std::string& path, uint64_t row_count);
// "data" as a link to that of another file.
void WriteHdf5Link(const std::string& path, const std::string& target);

}  // namespace lifescope
