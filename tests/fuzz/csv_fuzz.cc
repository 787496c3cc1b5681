// Any bytes as a table; the first chooses how it is written. A row that is sought again is the same.
#include <c10/util/Exception.h>

#include "server/corpus/csv.h"
#include "tests/fuzz/engine_input.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const lifescope::CsvFormat format{",;\t|"[data[0] % 4], data[0] % 8 >= 4};
  const std::string table(reinterpret_cast<const char*>(data) + 1, size - 1);
  const std::string path = lifescope::WriteInput({{"table.csv", table}}) + "/table.csv";
  try {
    lifescope::CsvReader reader(path, format);
    const auto first = reader.place();
    lifescope::CsvReader::Row row;
    if (!reader.Next(&row)) return 0;
    const auto cells = row.cells;
    const auto line = row.line;
    do {
      if (row.fault.empty() && row.cells.size() != reader.header().size()) __builtin_trap();
    } while (reader.Next(&row));
    reader.Seek(first);
    if (!reader.Next(&row) || row.cells != cells || row.line != line) __builtin_trap();
  } catch (const c10::ValueError&) {
  }
  return 0;
}
