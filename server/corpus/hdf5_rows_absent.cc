// Hdf5Rows of a build without HDF5.
#include <c10/util/Exception.h>

#include "server/corpus/hdf5_rows.h"

namespace lifescope {

struct Hdf5Rows::Impl {};

Hdf5Rows::Hdf5Rows(std::string path, std::string dataset) {
  TORCH_CHECK_VALUE(false, path, ": ", dataset,
                    ": this build reads no HDF5 files; install HDF5 (Debian: libhdf5-dev) and configure again");
}

Hdf5Rows::~Hdf5Rows() = default;
int64_t Hdf5Rows::size() const { return 0; }
bool Hdf5Rows::Next(std::string_view*) { return false; }

}  // namespace lifescope
