#include <c10/util/Exception.h>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "server/artifact/artifact.h"
#include "server/artifact/output_file.h"
#include "server/corpus/world_people.h"

namespace lifescope {
namespace {

// What users.csv has in life2vec-light: a row number in a column without a name before the rest.
constexpr char kUsersHeader[] = ",USER_ID,BIRTHDAY,SEX\n";

std::string HeaderOf(const EventTable& table) {
  std::string header = table.source.person_column + "," + table.date_column;
  for (const EventField& field : table.fields) header += "," + field.value.column;
  return header + "\n";
}

std::string RowOf(int64_t person_id, const RawEvent& event) {
  std::string row = std::to_string(person_id) + "," + event.date.ToString();
  for (const std::string& field : event.fields) row += "," + field;
  return row + "\n";
}

void WriteTables(const std::string& folder, const WorldOptions& options, const Progress& progress) {
  const TableDescription description = world::Description();
  OutputFile users(folder + "/" + description.persons.source.files[0]);
  users.Append(kUsersHeader);
  std::vector<std::unique_ptr<OutputFile>> tables;
  for (const EventTable& table : description.tables) {
    tables.push_back(std::make_unique<OutputFile>(folder + "/" + table.source.files[0]));
    tables.back()->Append(HeaderOf(table));
  }
  const auto everybody = [](int64_t) { return true; };
  ForEachInhabitant(options, "living", progress, everybody, [&](const Inhabitant& one) {
    const RawPerson& person = one.person;
    users.Append(std::to_string(person.person_id - 1) + "," + std::to_string(person.person_id) + "," +
                 person.birthday.ToString() + "," + person.background[0] + "\n");
    for (const RawEvent& event : person.events) tables[event.table]->Append(RowOf(person.person_id, event));
  });
  users.Finish();
  for (const auto& table : tables) table->Finish();
}

}  // namespace

void SynthesizeTables(const std::string& tables_folder, const WorldOptions& options, const Progress& progress) {
  CheckWorld(options);
  TORCH_CHECK_VALUE(!std::filesystem::exists(tables_folder), tables_folder,
                    ": exists already; tables are never overwritten");
  WriteFolderAtomically(tables_folder, [&](const std::string& partial) { WriteTables(partial, options, progress); });
}

}  // namespace lifescope
