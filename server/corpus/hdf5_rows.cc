#include "server/corpus/hdf5_rows.h"

#include <c10/util/Exception.h>
#include <hdf5.h>

#include <algorithm>
#include <utility>
#include <vector>

namespace lifescope {
namespace {

constexpr int64_t kReadBytes = 8 << 20;
// A chunk is unpacked whole, so its size is memory; h5py's own choice is about a megabyte.
constexpr int64_t kMaxChunkBytes = 256 << 20;

// While it lives, HDF5 prints nothing of its own.
class QuietErrors {
 public:
  QuietErrors() {
    H5Eget_auto2(H5E_DEFAULT, &print_, &data_);
    H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
  }
  ~QuietErrors() { H5Eset_auto2(H5E_DEFAULT, print_, data_); }
  QuietErrors(const QuietErrors&) = delete;
  QuietErrors& operator=(const QuietErrors&) = delete;

 private:
  H5E_auto2_t print_ = nullptr;
  void* data_ = nullptr;
};

// What the innermost function of HDF5 said of the last failure.
std::string Reason() {
  std::string text;
  H5Ewalk2(
      H5E_DEFAULT, H5E_WALK_UPWARD,
      [](unsigned number, const H5E_error2_t* error, void* innermost) -> herr_t {
        if (number == 0 && error->desc != nullptr) *static_cast<std::string*>(innermost) = error->desc;
        return 0;
      },
      &text);
  return text.empty() ? "HDF5 gives no reason" : text;
}

// An identifier of HDF5, closed at the end.
class Handle {
 public:
  Handle(hid_t id, herr_t (*close)(hid_t)) : id_(id), close_(close) {}
  Handle(Handle&& other) noexcept : id_(std::exchange(other.id_, H5I_INVALID_HID)), close_(other.close_) {}
  ~Handle() {
    if (id_ >= 0) close_(id_);
  }

  hid_t get() const { return id_; }

 private:
  hid_t id_;
  herr_t (*close_)(hid_t);
};

Handle Checked(hid_t id, herr_t (*close)(hid_t), const std::string& what) {
  TORCH_CHECK_VALUE(id >= 0, what, ": cannot be opened: ", Reason());
  return {id, close};
}

// Rows of a chunk; 1 when the dataset is not in chunks. Refuses rows that are not in the file itself: in another one,
// or never written, of which a damaged size can promise any number.
int64_t ChunkRows(hid_t dataset, hid_t space, int64_t row_count, int64_t row_bytes, const std::string& what) {
  const Handle properties = Checked(H5Dget_create_plist(dataset), H5Pclose, what);
  const H5D_layout_t layout = H5Pget_layout(properties.get());
  TORCH_CHECK_VALUE((layout == H5D_CHUNKED || layout == H5D_CONTIGUOUS || layout == H5D_COMPACT) &&
                        H5Pget_external_count(properties.get()) == 0,
                    what, ": its data is in other files, expected it in this one");
  if (layout != H5D_CHUNKED) {
    const hsize_t stored = H5Dget_storage_size(dataset), bytes = static_cast<hsize_t>(row_bytes);
    TORCH_CHECK_VALUE(stored % bytes == 0 && stored / bytes == static_cast<hsize_t>(row_count), what, ": ", stored,
                      " bytes are in the file, expected ", row_count, " rows of ", row_bytes);
    return 1;
  }
  hsize_t chunk_rows = 0, chunk_count = 0;
  const bool known = H5Pget_chunk(properties.get(), 1, &chunk_rows) == 1 && chunk_rows > 0 &&
                     H5Dget_num_chunks(dataset, space, &chunk_count) >= 0;
  TORCH_CHECK_VALUE(known, what, ": its chunks cannot be read: ", Reason());
  const hsize_t expected = (static_cast<hsize_t>(row_count) + chunk_rows - 1) / chunk_rows;
  TORCH_CHECK_VALUE(chunk_count == expected, what, ": ", chunk_count, " chunks are in the file, expected ", expected,
                    " for ", row_count, " rows");
  return static_cast<int64_t>(chunk_rows);
}

}  // namespace

struct Hdf5Rows::Impl {
  std::string what;  // "train/0.hdf5: data"
  Handle file, dataset, type, space;
  int64_t row_bytes = 0, row_count = 0;
  int64_t rows_per_read = 1;
  std::vector<char> buffer;
  int64_t first = 0, held = 0;  // rows in the buffer
  int64_t next = 0;

  // The only link that is followed is one to an object of this file.
  static Handle OpenDataset(hid_t file, const std::string& name, const std::string& what) {
    H5L_info_t link;
    TORCH_CHECK_VALUE(H5Lget_info(file, name.c_str(), &link, H5P_DEFAULT) >= 0, what, ": no such dataset");
    TORCH_CHECK_VALUE(link.type == H5L_TYPE_HARD, what, ": is a link elsewhere, expected a dataset of this file");
    return Checked(H5Dopen2(file, name.c_str(), H5P_DEFAULT), H5Dclose, what);
  }

  Impl(const std::string& path, const std::string& name)
      : what(path + ": " + name),
        file(Checked(H5Fopen(path.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT), H5Fclose, path)),
        dataset(OpenDataset(file.get(), name, what)),
        type(Checked(H5Dget_type(dataset.get()), H5Tclose, what)),
        space(Checked(H5Dget_space(dataset.get()), H5Sclose, what)) {
    TORCH_CHECK_VALUE(H5Tget_class(type.get()) == H5T_STRING && H5Tis_variable_str(type.get()) == 0, what,
                      ": expected strings of fixed length, as h5py stores numpy bytes");
    const int dimensions = H5Sget_simple_extent_ndims(space.get());
    TORCH_CHECK_VALUE(dimensions == 1, what, ": ", dimensions, " dimensions, expected 1");
    hsize_t count = 0;
    H5Sget_simple_extent_dims(space.get(), &count, nullptr);
    row_count = static_cast<int64_t>(count);
    TORCH_CHECK_VALUE(row_count >= 0, what, ": ", count, " rows, expected fewer");
    row_bytes = static_cast<int64_t>(H5Tget_size(type.get()));
    TORCH_CHECK_VALUE(row_bytes > 0, what, ": rows of ", row_bytes, " bytes, expected more");
    const int64_t chunk_rows = ChunkRows(dataset.get(), space.get(), row_count, row_bytes, what);
    TORCH_CHECK_VALUE(row_bytes <= kMaxChunkBytes && chunk_rows <= kMaxChunkBytes / row_bytes, what, ": a chunk of ",
                      chunk_rows, " rows of ", row_bytes, " bytes, expected at most ", kMaxChunkBytes, " bytes");
    // Whole chunks, so that none is unpacked twice.
    rows_per_read = std::max<int64_t>(1, kReadBytes / row_bytes / chunk_rows) * chunk_rows;
  }

  void Read() {
    first = next;
    held = std::min(rows_per_read, row_count - next);
    buffer.resize(static_cast<size_t>(held * row_bytes));
    const hsize_t start = static_cast<hsize_t>(first), count = static_cast<hsize_t>(held);
    const Handle memory = Checked(H5Screate_simple(1, &count, nullptr), H5Sclose, what);
    const bool read = H5Sselect_hyperslab(space.get(), H5S_SELECT_SET, &start, nullptr, &count, nullptr) >= 0 &&
                      H5Dread(dataset.get(), type.get(), memory.get(), space.get(), H5P_DEFAULT, buffer.data()) >= 0;
    TORCH_CHECK_VALUE(read, what, ": rows ", first, " to ", first + held - 1, " cannot be read: ", Reason());
  }
};

Hdf5Rows::Hdf5Rows(std::string path, std::string dataset) {
  const QuietErrors quiet;
  impl_ = std::make_unique<Impl>(path, dataset);
}

Hdf5Rows::~Hdf5Rows() = default;

int64_t Hdf5Rows::size() const { return impl_->row_count; }

bool Hdf5Rows::Next(std::string_view* row) {
  Impl& at = *impl_;
  if (at.next == at.row_count) return false;
  if (at.next == at.first + at.held) {
    const QuietErrors quiet;
    at.Read();
  }
  const std::string_view padded(at.buffer.data() + (at.next - at.first) * at.row_bytes, at.row_bytes);
  *row = padded.substr(0, padded.find('\0'));
  ++at.next;
  return true;
}

}  // namespace lifescope
