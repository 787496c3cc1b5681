#include "tests/corpus/small_register.h"

#include <vector>

#include "tests/support/golden.h"

namespace lifescope {
namespace {

Vocabulary RegisterVocabulary() {
  std::vector<Vocabulary::Entry> entries;
  for (const char* token :
       {"[PAD]", "[CLS]", "[SEP]", "[MASK]", "[PLCH0]", "[PLCH1]", "[PLCH2]", "[PLCH3]", "[PLCH4]", "[UNK]"}) {
    entries.push_back({token, "GENERAL"});
  }
  for (const char* token : {"FEMALE", "MALE"}) entries.push_back({token, "BACKGROUND"});
  for (const char* token : {"YEAR_1980", "YEAR_1990"}) entries.push_back({token, "YEAR"});
  for (const char* token : {"DIAG_A", "DIAG_B"}) entries.push_back({token, "DIAGNOSIS"});
  for (const char* token : {"TYPE_In", "TYPE_Out"}) entries.push_back({token, "PATIENT_TYPE"});
  for (const char* token : {"INCOME_1", "INCOME_3", "INCOME_5"}) entries.push_back({token, "INCOME"});
  entries.push_back({"OCC_1", "OCCUPATION"});
  return Vocabulary::FromEntries(std::move(entries));
}

}  // namespace

std::string WriteSmallRegister(const std::string& origin) {
  const Vocabulary vocabulary = RegisterVocabulary();
  const auto ids = [&](const std::vector<const char*>& names) {
    std::vector<int32_t> tokens;
    for (const char* name : names) tokens.push_back(*vocabulary.Find(name));
    return tokens;
  };
  const std::string folder = TemporaryFolder() + "/register";
  CorpusWriter writer(folder, vocabulary, 24, {2020, 1, 1}, origin, {{"team", {"red", "blue"}}},
                      {{"mood", {"low", "high"}}});
  const auto add = [&](int64_t person, const std::vector<const char*>& background, const std::vector<Event>& events,
                       int8_t team, const std::vector<int8_t>& moods) {
    writer.Add(EncodeLife(person, ids(background), events, 24).document, Split::kTrain, 0, {team}, moods);
  };
  add(10, {"FEMALE", "YEAR_1980"},
      {{10, 40, ids({"DIAG_A", "TYPE_In"})},
       {400, 41, ids({"INCOME_3", "OCC_1"})},
       {400, 41, ids({"DIAG_B", "TYPE_Out"})}},
      0, {-1, 0, 1});
  add(20, {"MALE", "YEAR_1990"}, {{50, 30, ids({"INCOME_1"})}, {800, 32, ids({"INCOME_5"})}}, 1, {1, 0});
  add(30, {"MALE", "YEAR_1980"}, {}, -1, {});
  add(40, {"FEMALE", "YEAR_1990"}, {{-100, 29, ids({"DIAG_B", "TYPE_In"})}}, 1, {0});
  writer.Finish();
  return folder;
}

}  // namespace lifescope
