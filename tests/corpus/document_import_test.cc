#include "server/corpus/document_import.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <utility>

#include "server/corpus/world.h"
#include "tests/corpus/value_error.h"
#include "tests/corpus/written_hdf5.h"
#include "tests/support/golden.h"

namespace lifescope {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

namespace fs = std::filesystem;

std::string VocabularyFile() {
  const std::string path = TemporaryFolder() + "/result.tsv";
  std::string text = "\tID\tTOKEN\tCATEGORY\n";
  int id = 0;
  for (const char* token : {"[PAD]", "[CLS]", "[SEP]", "[MASK]", "[PLCH0]", "[PLCH1]", "[PLCH2]", "[PLCH3]", "[PLCH4]",
                            "[UNK]", "F", "MALE", "DK", "MONTH_6", "YEAR_1980", "A", "B", "C"}) {
    text += std::to_string(id) + "\t" + std::to_string(id) + "\t" + token + "\tANY\n";
    ++id;
  }
  WriteFileAtomically(path, text);
  return path;
}

constexpr char kOriginal[] = R"({"origin":"DK","gender":"F","birth_month":6,"birth_year":1980})";
constexpr char kLight[] = R"({"gender":"Male","birth_month":6,"birth_year":1980})";

struct Row {
  int64_t person = 1;
  std::string sentences = R"([["A","B"],["C"],["nowhere"]])";
  std::string abspos = "[1,20,300]", age = "[30.0,31.0,32.0]";
  std::string timecut = "3", segment = "null", background = kOriginal;

  std::string Json() const {
    return R"({"person_id":)" + std::to_string(person) + R"(,"sentences":)" + sentences + R"(,"abspos":)" + abspos +
           R"(,"age":)" + age + R"(,"timecut_pos":)" + timecut + R"(,"segment":)" + segment + R"(,"background":)" +
           background + R"(,"shuffled":false,"task_info":null})";
  }
};

Row Person(int64_t id) {
  Row row;
  row.person = id;
  return row;
}

// A data set of the pipeline: folder/<split>/<number>.hdf5.
std::string DataSet(const std::vector<std::pair<std::string, std::vector<std::string>>>& files) {
  const std::string folder = TemporaryFolder();
  for (const auto& [name, rows] : files) {
    fs::create_directories(fs::path(folder + "/" + name).parent_path());
    WriteHdf5Rows(folder + "/" + name, rows);
  }
  return folder;
}

struct Imported {
  DocumentImportReport report;
  std::shared_ptr<const Corpus> corpus;
};

Imported Import(const std::vector<std::string>& paths, const DocumentImportOptions& options = {}) {
  const std::string folder = TemporaryFolder() + "/corpus";
  const DocumentImportReport report = ImportPersonDocuments(paths, VocabularyFile(), folder, options);
  return {report, Corpus::Open(folder, /*verify_digests=*/true)};
}

std::vector<std::string> Words(const Corpus& corpus, const Document& document) {
  std::vector<std::string> words;
  for (const int32_t token : document.token) words.push_back(corpus.vocabulary().token(token));
  return words;
}

// The one document of a data set of one row.
Document OnlyDocument(const Row& row, const DocumentImportOptions& options = {}) {
  return Import({DataSet({{"train/0.hdf5", {row.Json()}}})}, options).corpus->DocumentAt(0);
}

TEST(DocumentImport, ADocumentIsLaidOutAsThePublishedTasksDo) {
  const Imported imported = Import({DataSet({{"train/0.hdf5", {Row().Json()}}})});
  const Document document = imported.corpus->DocumentAt(0);
  EXPECT_THAT(Words(*imported.corpus, document), ElementsAre("[CLS]", "DK", "F", "MONTH_6", "YEAR_1980", "[SEP]", "A",
                                                             "B", "[SEP]", "C", "[SEP]", "[UNK]", "[SEP]"));
  EXPECT_THAT(document.abspos, ElementsAre(0, 0, 0, 0, 0, 0, 1, 1, 1, 20, 20, 300, 300));
  EXPECT_THAT(document.age, ElementsAre(0, 0, 0, 0, 0, 0, 30, 30, 30, 31, 31, 32, 32));
  EXPECT_THAT(document.segment, ElementsAre(1, 1, 1, 1, 1, 1, 2, 2, 2, 3, 3, 1, 1));
  EXPECT_EQ(imported.report.unknown_token_count, 1);
  EXPECT_EQ(imported.report.event_count, 3);
  EXPECT_EQ(imported.corpus->manifest().reference_date.ToString(), "2008-01-01");
}

// A document of a corpus as the pipeline would have stored it.
std::string AsStored(const Corpus& corpus, const Document& document) {
  const auto word = [&](int64_t row) { return corpus.vocabulary().token(document.token[row]); };
  const auto listed = [](std::string* list, const std::string& item) {
    *list += (list->back() == '[' ? "" : ",") + item;
  };
  Row stored;
  stored.person = document.person_id;
  stored.background = R"({"gender":")" + word(1) + R"(","birth_month":)" + word(2).substr(6) + R"(,"birth_year":)" +
                      word(3).substr(5) + "}";
  std::string sentence = "[";
  stored.sentences = stored.abspos = stored.age = "[";
  for (int64_t row = 5; row < document.length(); ++row) {
    if (document.token[row] != kSep) {
      listed(&sentence, '"' + word(row) + '"');
      continue;
    }
    listed(&stored.sentences, std::exchange(sentence, "[") + "]");
    listed(&stored.abspos, std::to_string(document.abspos[row]));
    listed(&stored.age, std::to_string(document.age[row]) + ".0");
  }
  for (std::string* list : {&stored.sentences, &stored.abspos, &stored.age}) *list += "]";
  stored.timecut = std::to_string(document.event_count());
  return stored.Json();
}

TEST(DocumentImport, LivesThatWereStoredWholeComeBackAsTheyWereEncoded) {
  constexpr int64_t kLength = 64;
  const std::string whole_folder = TemporaryFolder() + "/whole", clipped_folder = TemporaryFolder() + "/clipped";
  SynthesizeWorld(whole_folder, {80, 5, 4096});
  SynthesizeWorld(clipped_folder, {80, 5, kLength});
  const auto whole = Corpus::Open(whole_folder), expected = Corpus::Open(clipped_folder);
  const char* folders[] = {"train", "val", "test"};
  std::map<std::string, std::vector<std::string>> rows;
  for (int64_t i = 0; i < whole->size(); ++i) {
    rows[std::string(folders[static_cast<int>(whole->split(i))]) + "/0.hdf5"].push_back(
        AsStored(*whole, whole->DocumentAt(i)));
  }
  DocumentImportOptions options;
  options.max_length = kLength;
  options.reference_date = whole->manifest().reference_date;
  const std::string folder = TemporaryFolder() + "/corpus";
  ImportPersonDocuments({DataSet({rows.begin(), rows.end()})}, whole_folder + "/vocab.tsv", folder, options);
  const auto found = Corpus::Open(folder);
  ASSERT_EQ(found->size(), expected->size());
  EXPECT_GT(found->manifest().clipped_person_count, 0);
  EXPECT_EQ(found->manifest().clipped_person_count, expected->manifest().clipped_person_count);
  for (int64_t i = 0; i < found->size(); ++i) {
    const Document a = found->DocumentAt(i), b = expected->DocumentAt(i);
    EXPECT_EQ(a.person_id, b.person_id);
    EXPECT_EQ(a.token, b.token);
    EXPECT_EQ(a.abspos, b.abspos);
    EXPECT_EQ(a.age, b.age);
    EXPECT_EQ(a.segment, b.segment);
    EXPECT_EQ(a.event, b.event);
    EXPECT_EQ(found->split(i), expected->split(i));
  }
}

TEST(DocumentImport, FilesAreReadInOrderOfSplitThenPath) {
  const std::string folder = DataSet({{"val/0.hdf5", {Person(4).Json()}},
                                      {"train/1.hdf5", {Person(3).Json()}},
                                      {"train/0.hdf5", {Person(9).Json(), Person(2).Json()}},
                                      {"test/0.hdf5", {Person(1).Json()}}});
  const Imported imported = Import({folder});
  std::vector<int64_t> persons;
  std::vector<Split> splits;
  for (int64_t i = 0; i < imported.corpus->size(); ++i) {
    persons.push_back(imported.corpus->person_id(i));
    splits.push_back(imported.corpus->split(i));
  }
  EXPECT_THAT(persons, ElementsAre(9, 2, 3, 4, 1));
  EXPECT_THAT(splits, ElementsAre(Split::kTrain, Split::kTrain, Split::kTrain, Split::kValidation, Split::kTest));
  EXPECT_EQ(imported.report.files.size(), 4u);
  const Imported files = Import({folder + "/test/0.hdf5", folder + "/train"});
  EXPECT_EQ(files.corpus->size(), 4);
}

TEST(DocumentImport, SentencesFromTheThresholdOnAreCutUnlessWholeLivesAreWanted) {
  Row row;
  row.timecut = "1";
  EXPECT_EQ(OnlyDocument(row).event_count(), 1);
  DocumentImportOptions options;
  options.cut_at_threshold = false;
  EXPECT_EQ(OnlyDocument(row, options).event_count(), 3);
  row.timecut = "null";
  EXPECT_EQ(OnlyDocument(row).event_count(), 3);
}

TEST(DocumentImport, TheLongestSuffixThatFitsIsKeptWithItsSegments) {
  Row row;
  DocumentImportOptions options;
  options.max_length = 10;  // the prefix has 6; of 3 + 2 + 2 the last two sentences fit
  const Imported imported = Import({DataSet({{"train/0.hdf5", {row.Json()}}})}, options);
  EXPECT_THAT(imported.corpus->DocumentAt(0).segment, ElementsAre(1, 1, 1, 1, 1, 1, 3, 3, 1, 1));
  EXPECT_EQ(imported.report.clipped_person_count, 1);
  row.segment = "[1,2,3]";
  EXPECT_THAT(OnlyDocument(row, options).segment, ElementsAre(1, 1, 1, 1, 1, 1, 2, 2, 3, 3));
}

TEST(DocumentImport, ALifeWithoutEventsIsLeftOutAndCounted) {
  Row cut = Person(2), long_last = Person(3);
  cut.timecut = "0";
  long_last.sentences = R"([["A"],["B"],["A","A","A","A","A","A"]])";
  DocumentImportOptions options;
  options.max_length = 12;
  const Imported imported =
      Import({DataSet({{"train/0.hdf5", {Row().Json(), cut.Json(), long_last.Json()}}})}, options);
  EXPECT_EQ(imported.report.eventless_person_count, 2);
  EXPECT_EQ(imported.corpus->size(), 1);
}

TEST(DocumentImport, ABackgroundIsThatOfItsPipeline) {
  Row row;
  row.sentences = R"([["A"]])", row.abspos = "[1]", row.age = "[30]", row.timecut = "1";
  const auto words = [&](const std::string& background, bool faithful) {
    row.background = background;
    DocumentImportOptions options;
    options.faithful = faithful;
    const Imported imported = Import({DataSet({{"train/0.hdf5", {row.Json()}}})}, options);
    std::vector<std::string> all = Words(*imported.corpus, imported.corpus->DocumentAt(0));
    return std::vector<std::string>(all.begin() + 1, all.end() - 3);
  };
  EXPECT_THAT(words(kOriginal, true), ElementsAre("DK", "F", "MONTH_6", "YEAR_1980"));
  EXPECT_THAT(words(kLight, false), ElementsAre("MALE", "MONTH_6", "YEAR_1980"));
  EXPECT_THAT(words(kLight, true), ElementsAre("[UNK]", "[UNK]", "[UNK]"));
  EXPECT_THAT(words("null", false), ElementsAre("[UNK]", "[UNK]", "[UNK]", "[UNK]"));
}

TEST(DocumentImport, BadRowsAreCountedAndSampledAndTheRestIsKept) {
  Row unequal = Person(5);
  unequal.age = "[1]";
  const std::string folder =
      DataSet({{"train/0.hdf5", {Person(1).Json(), Row().Json().substr(0, 40), unequal.Json(), Person(1).Json()}},
               {"test/0.hdf5", {Person(6).Json()}}});
  DocumentImportOptions options;
  options.max_bad_row_share = 0.75;
  const Imported imported = Import({folder}, options);
  const RowCounts rows = Total(imported.report.files);
  EXPECT_EQ(rows.row_count, 5);
  EXPECT_EQ(rows.bad_row_count, 3);
  EXPECT_THAT(rows.bad_row_samples,
              ElementsAre(HasSubstr("train/0.hdf5, row 1: "),
                          "train/0.hdf5, row 2: age has 1 entries, sentences has 3: expected as many",
                          "train/0.hdf5, row 3: person 1 is there already"));
  EXPECT_EQ(imported.corpus->size(), 2);
  const std::string parent = TemporaryFolder();
  EXPECT_THAT(ValueErrorOf([&] { ImportPersonDocuments({folder}, VocabularyFile(), parent + "/corpus", {}); }),
              HasSubstr("train/0.hdf5: 1 of 2 rows are bad, expected at most a share of 0.01; the first: train/0.hdf5, "
                        "row 1: "));
  EXPECT_TRUE(fs::is_empty(parent));
}

TEST(DocumentImport, TheSplitComesFromAFileWhereThereIsOne) {
  const std::string folder = DataSet({{"train/0.hdf5", {Person(1).Json(), Person(2).Json()}}});
  DocumentImportOptions options;
  options.split_file = TemporaryFolder() + "/split.csv";
  WriteFileAtomically(options.split_file, "USER_ID,split\n1,test\n2,val\n");
  const Imported imported = Import({folder}, options);
  EXPECT_EQ(imported.corpus->split(0), Split::kTest);
  EXPECT_EQ(imported.corpus->split(1), Split::kValidation);
  WriteFileAtomically(options.split_file, "USER_ID,split\n1,test\n");
  EXPECT_THAT(ValueErrorOf([&] { Import({folder}, options); }), HasSubstr("person 2 is not in the split file"));
  WriteFileAtomically(options.split_file, "USER_ID,split\n1,dev\n");
  EXPECT_THAT(ValueErrorOf([&] { Import({folder}, options); }), HasSubstr("split.csv:2: split is 'dev'"));
}

TEST(DocumentImport, FilesThatCannotBeUsedAreNamed) {
  const std::string folder = DataSet({{"part/0.hdf5", {Row().Json()}}, {"val.hdf5", {Row().Json()}}});
  EXPECT_THAT(ValueErrorOf([&] { Import({folder + "/part"}); }), HasSubstr("part/0.hdf5: its split is not said"));
  EXPECT_EQ(Import({folder + "/val.hdf5"}).corpus->split(0), Split::kValidation);
  EXPECT_THAT(ValueErrorOf([&] { Import({TemporaryFolder()}); }), HasSubstr("no .hdf5 file in this folder"));
  fs::create_directories(folder + "/test");
  WriteFileAtomically(folder + "/test/0.hdf5", "not HDF5");
  EXPECT_THAT(ValueErrorOf([&] { Import({folder + "/test"}); }), HasSubstr("test/0.hdf5: cannot be opened"));
}

}  // namespace
}  // namespace lifescope
