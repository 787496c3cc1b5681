#include "server/artifact/stored_zip.h"

#include <zip.h>

#include <stdexcept>

#include "server/artifact/pickle.h"

namespace lifescope {
namespace {

void Check(bool is_right, const std::string& what) {
  if (!is_right) throw std::invalid_argument(what);
}

// Takes the place of the error of an operation of libzip.
struct ZipError {
  ZipError() { zip_error_init(&error); }
  ~ZipError() { zip_error_fini(&error); }
  zip_error_t error;
};

}  // namespace

struct StoredZip::Archive {
  explicit Archive(std::string_view bytes) {
    ZipError failure;
    zip_source_t* source = zip_source_buffer_create(bytes.data(), bytes.size(), /*freep=*/0, &failure.error);
    if (source != nullptr) {
      handle = zip_open_from_source(source, ZIP_RDONLY | ZIP_CHECKCONS, &failure.error);
      if (handle == nullptr) zip_source_free(source);
    }
    Check(handle != nullptr, std::string("not a sound zip archive: ") + zip_error_strerror(&failure.error));
  }
  ~Archive() { zip_discard(handle); }
  Archive(const Archive&) = delete;
  Archive& operator=(const Archive&) = delete;

  zip_t* handle = nullptr;
};

StoredZip::StoredZip(std::string_view bytes, size_t max_records) : archive_(std::make_unique<Archive>(bytes)) {
  const auto count = static_cast<uint64_t>(zip_get_num_entries(archive_->handle, 0));
  Check(count <= max_records, std::to_string(count) + " records, the limit is " + std::to_string(max_records));
  uint64_t left = bytes.size();
  for (uint64_t index = 0; index < count; ++index) left -= AddRecord(index, left);
}

StoredZip::~StoredZip() = default;
StoredZip::StoredZip(StoredZip&&) noexcept = default;
StoredZip& StoredZip::operator=(StoredZip&&) noexcept = default;

// Returns the bytes that the record takes, which are at most `left`.
uint64_t StoredZip::AddRecord(uint64_t index, uint64_t left) {
  zip_stat_t stat;
  constexpr zip_uint64_t kNeeded =
      ZIP_STAT_NAME | ZIP_STAT_SIZE | ZIP_STAT_COMP_SIZE | ZIP_STAT_COMP_METHOD | ZIP_STAT_ENCRYPTION_METHOD;
  Check(zip_stat_index(archive_->handle, index, ZIP_FL_ENC_RAW, &stat) == 0 && (stat.valid & kNeeded) == kNeeded,
        "record " + std::to_string(index) + " of the zip archive has no name or no size");
  const std::string record = "record " + Quoted(stat.name);
  const bool is_stored = stat.comp_method == ZIP_CM_STORE && stat.encryption_method == ZIP_EM_NONE;
  Check(stat.comp_size <= left, record + " has " + std::to_string(stat.comp_size) + " bytes, " + std::to_string(left) +
                                    " are left for it in the archive");
  Check(!is_stored || stat.size == stat.comp_size, record + " has two sizes");
  const bool is_deflated = stat.comp_method == ZIP_CM_DEFLATE && stat.encryption_method == ZIP_EM_NONE;
  Check(records_.emplace(stat.name, Record{index, stat.size, is_stored, is_deflated, stat.comp_size}).second,
        record + " is there twice");
  return stat.comp_size;
}

const StoredZip::Record& StoredZip::Find(const std::string& name) const {
  const auto found = records_.find(name);
  Check(found != records_.end(), "record " + Quoted(name) + " is missing");
  Check(found->second.is_stored, "record " + Quoted(name) + " is compressed or encrypted, expected stored bytes");
  return found->second;
}

std::string StoredZip::Read(const std::string& name) const { return ReadBytes(name, Find(name)); }

std::string StoredZip::Inflate(const std::string& name) const {
  const auto found = records_.find(name);
  Check(found != records_.end(), "record " + Quoted(name) + " is missing");
  const Record& record = found->second;
  Check(record.is_stored || record.is_deflated,
        "record " + Quoted(name) + " is encrypted or compressed otherwise, expected stored or deflated bytes");
  constexpr uint64_t kMostPerByte = 1032;
  Check(record.size / kMostPerByte <= record.compressed_size,
        "record " + Quoted(name) + " claims " + std::to_string(record.size) +
            " bytes, expected at most 1032 times its " + std::to_string(record.compressed_size) + " deflated ones");
  return ReadBytes(name, record);
}

std::string StoredZip::ReadBytes(const std::string& name, const Record& record) const {
  const std::unique_ptr<zip_file_t, int (*)(zip_file_t*)> file(zip_fopen_index(archive_->handle, record.index, 0),
                                                               zip_fclose);
  Check(file != nullptr, "record " + Quoted(name) + ": " + zip_strerror(archive_->handle));
  // The checksum is compared by the read that finds the end of the record.
  std::string bytes(record.size, '\0');
  char more = 0;
  const bool whole = zip_fread(file.get(), bytes.data(), bytes.size()) == static_cast<zip_int64_t>(record.size) &&
                     zip_fread(file.get(), &more, 1) == 0;
  Check(whole, "record " + Quoted(name) + ": " + zip_error_strerror(zip_file_get_error(file.get())));
  return bytes;
}

}  // namespace lifescope
