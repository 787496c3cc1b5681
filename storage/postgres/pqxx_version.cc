#include "storage/postgres/pqxx_version.h"

#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace lifescope {
namespace {

int HexDigit(char digit) {
  if (digit >= '0' && digit <= '9') return digit - '0';
  if (digit >= 'a' && digit <= 'f') return digit - 'a' + 10;
  throw pqxx::conversion_error("found a bytea that is not in hex form");
}

}  // namespace

QuietConnection::QuietConnection(const std::string& url) : connection_(url) {
#if PQXX_VERSION_MAJOR < 7
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
  connection_.inhibit_reactivation(true);
#pragma GCC diagnostic pop
#elif PQXX_VERSION_MAJOR > 7 || PQXX_VERSION_MINOR >= 10
  connection_.set_notice_handler([](pqxx::zview) {});
#endif
}

CopyWriter::CopyWriter(pqxx::transaction_base& transaction, const std::string& table, const std::string& columns)
#if PQXX_VERSION_MAJOR < 7
    : stream_(transaction, table, std::vector<std::string>{columns})
#else
    : stream_(pqxx::stream_to::raw_table(transaction, table, columns))
#endif
{
}

std::string ToBytea(const std::string& bytes) { return absl::StrCat("\\x", absl::BytesToHexString(bytes)); }

std::string FromBytea(const pqxx::field& field) {
  const char* text = field.c_str();
  const size_t size = field.size();
  if (size < 2 || size % 2 != 0 || text[0] != '\\' || text[1] != 'x') {
    throw pqxx::conversion_error("found a bytea that is not in hex form");
  }
  std::string bytes(size / 2 - 1, '\0');
  for (size_t i = 0; i < bytes.size(); ++i) {
    bytes[i] = static_cast<char>(HexDigit(text[2 * i + 2]) * 16 + HexDigit(text[2 * i + 3]));
  }
  return bytes;
}

}  // namespace lifescope
