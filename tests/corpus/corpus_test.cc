#include "server/corpus/corpus.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "server/corpus/random.h"
#include "tests/corpus/value_error.h"
#include "tests/support/golden.h"

namespace lifescope {
namespace {

using testing::HasSubstr;

namespace fs = std::filesystem;

Vocabulary SmallVocabulary() {
  std::vector<Vocabulary::Entry> entries;
  for (const char* token :
       {"[PAD]", "[CLS]", "[SEP]", "[MASK]", "[PLCH0]", "[PLCH1]", "[PLCH2]", "[PLCH3]", "[PLCH4]", "[UNK]"}) {
    entries.push_back({token, "GENERAL"});
  }
  for (int i = 0; i < 20; ++i) entries.push_back({"WORD_" + std::to_string(i), "WORD"});
  return Vocabulary::FromEntries(entries);
}

const std::vector<Trait> kPersonTraits = {{"colour", {"red", "green"}}};
const std::vector<Trait> kEventTraits = {{"loud", {"no", "yes"}}, {"size", {"s", "m", "l"}}};

Document RandomDocument(int64_t person, Random& random) {
  std::vector<Event> events;
  const int64_t count = 1 + random.Below(5);
  for (int64_t i = 0; i < count; ++i) {
    std::vector<int32_t> tokens(static_cast<size_t>(1 + random.Below(4)));
    for (int32_t& token : tokens) token = static_cast<int32_t>(10 + random.Below(20));
    events.push_back({static_cast<int32_t>(random.Below(4000)) - 1000, static_cast<int32_t>(random.Below(90)), tokens});
  }
  return EncodeLife(person, {10, 11}, events, 24).document;
}

std::vector<int8_t> EventTruth(const Document& document) {
  std::vector<int8_t> values;
  for (int32_t event = 1; event <= document.event_count(); ++event) {
    values.push_back(static_cast<int8_t>(event % 2));
    values.push_back(static_cast<int8_t>((document.person_id + event) % 4 - 1));
  }
  return values;
}

std::vector<Document> Documents() {
  Random random(1);
  std::vector<Document> documents;
  for (int64_t i = 0; i < 40; ++i) documents.push_back(RandomDocument(1000 - 3 * i, random));
  return documents;
}

// A corpus of the documents; every fourth one clipped, splits in turn.
std::string WrittenCorpus() {
  const std::string folder = TemporaryFolder() + "/small";
  CorpusWriter writer(folder, SmallVocabulary(), 24, {2020, 1, 1}, "a test", kPersonTraits, kEventTraits);
  const std::vector<Document> documents = Documents();
  for (size_t i = 0; i < documents.size(); ++i) {
    writer.Add(documents[i], static_cast<Split>(i % 3), i % 4 == 0 ? 2 : 0, {static_cast<int8_t>(i % 2)},
               EventTruth(documents[i]));
  }
  writer.Finish();
  return folder;
}

CorpusWriter PlainWriter(const std::string& folder) { return {folder, SmallVocabulary(), 24, {2020, 1, 1}, "a test"}; }

void Overwrite(const std::string& path, int64_t offset, const std::vector<char>& bytes) {
  std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
  file.seekp(offset);
  file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  ASSERT_TRUE(file.good()) << path;
}

TEST(Corpus, EveryDocumentComesBack) {
  const auto corpus = Corpus::Open(WrittenCorpus(), /*verify_digests=*/true);
  const std::vector<Document> documents = Documents();
  ASSERT_EQ(corpus->size(), static_cast<int64_t>(documents.size()));
  for (int64_t i = 0; i < corpus->size(); ++i) {
    const Document& expected = documents[i];
    const Document found = corpus->DocumentAt(i);
    EXPECT_EQ(found.person_id, expected.person_id);
    EXPECT_EQ(found.token, expected.token);
    EXPECT_EQ(found.abspos, expected.abspos);
    EXPECT_EQ(found.age, expected.age);
    EXPECT_EQ(found.segment, expected.segment);
    EXPECT_EQ(found.event, expected.event);
    EXPECT_EQ(corpus->length(i), expected.length());
    EXPECT_EQ(corpus->person_id(i), expected.person_id);
    EXPECT_EQ(corpus->split(i), static_cast<Split>(i % 3));
    EXPECT_EQ(corpus->Find(expected.person_id), i);
  }
  EXPECT_FALSE(corpus->Find(17).has_value());
  EXPECT_EQ(corpus->vocabulary().ToTsv(), SmallVocabulary().ToTsv());
}

TEST(Corpus, TraitsComeBackForEveryPersonAndEvent) {
  const auto corpus = Corpus::Open(WrittenCorpus());
  const std::vector<Document> documents = Documents();
  ASSERT_EQ(corpus->event_traits().size(), 2u);
  EXPECT_EQ(corpus->event_traits()[1].values, kEventTraits[1].values);
  EXPECT_EQ(corpus->person_traits()[0].name, "colour");
  for (int64_t i = 0; i < corpus->size(); ++i) {
    EXPECT_EQ(corpus->PersonTrait(i, 0), i % 2);
    const std::vector<int8_t> truth = EventTruth(documents[i]);
    for (int32_t event = 1; event <= documents[i].event_count(); ++event) {
      for (int64_t trait = 0; trait < 2; ++trait) {
        EXPECT_EQ(corpus->EventTrait(i, event, trait), truth[static_cast<size_t>((event - 1) * 2 + trait)]);
      }
    }
    EXPECT_THROW(corpus->EventTrait(i, documents[i].event_count() + 1, 0), c10::IndexError);
    EXPECT_THROW(corpus->EventTrait(i, 0, 0), c10::IndexError);
  }
  EXPECT_THROW(corpus->PersonTrait(0, 1), c10::IndexError);
}

TEST(Corpus, ManifestCountsWhatWasWritten) {
  const auto corpus = Corpus::Open(WrittenCorpus());
  const CorpusManifest& manifest = corpus->manifest();
  int64_t tokens = 0, events = 0;
  for (const Document& document : Documents()) {
    tokens += document.length();
    events += document.event_count();
  }
  EXPECT_EQ(manifest.person_count, 40);
  EXPECT_EQ(manifest.token_count, tokens);
  EXPECT_EQ(manifest.event_count, events);
  EXPECT_EQ(manifest.clipped_person_count, 10);
  EXPECT_EQ(manifest.split_person_counts[0], 14);
  EXPECT_EQ(manifest.split_person_counts[1], 13);
  EXPECT_EQ(manifest.split_person_counts[2], 13);
  EXPECT_EQ(manifest.max_length, 24);
  EXPECT_EQ(manifest.reference_date.ToString(), "2020-01-01");
  EXPECT_EQ(manifest.origin, "a test");
}

TEST(Corpus, DigestIsThatOfTheManifestAndFollowsTheContent) {
  const std::string first = WrittenCorpus(), second = WrittenCorpus();
  EXPECT_EQ(Corpus::Open(first)->digest(), Sha256OfFile(first + "/corpus.json"));
  EXPECT_EQ(Corpus::Open(first)->digest(), Corpus::Open(second)->digest());
  const std::string other = TemporaryFolder() + "/other";
  CorpusWriter writer = PlainWriter(other);
  writer.Add(Documents()[0], Split::kTrain);
  writer.Finish();
  EXPECT_NE(Corpus::Open(first)->digest(), Corpus::Open(other)->digest());
  EXPECT_TRUE(Corpus::Open(other)->person_traits().empty());
}

TEST(Corpus, OutOfRangeDocumentIsAnIndexError) {
  const auto corpus = Corpus::Open(WrittenCorpus());
  EXPECT_THROW(corpus->DocumentAt(40), c10::IndexError);
  EXPECT_THROW(corpus->DocumentAt(-1), c10::IndexError);
  EXPECT_THROW(corpus->split(40), c10::IndexError);
  EXPECT_THROW(corpus->length(40), c10::IndexError);
}

TEST(CorpusOpen, MissingFilesAreNamed) {
  EXPECT_THAT(ValueErrorOf([&] { Corpus::Open("/no/such/corpus"); }), HasSubstr("/no/such/corpus/corpus.json"));
  for (const char* name : {"token.i32", "abspos.i32", "age.i16", "segment.u8", "event.i32", "offsets.i64", "person.i64",
                           "split.u8", "vocab.tsv", "traits.json", "person_traits.i8", "event_traits.i8"}) {
    const std::string folder = WrittenCorpus();
    ASSERT_TRUE(fs::remove(folder + "/" + name));
    EXPECT_THAT(ValueErrorOf([&] { Corpus::Open(folder); }), HasSubstr(name));
  }
}

TEST(CorpusOpen, WrongSizesAreRefused) {
  for (const char* name : {"token.i32", "age.i16", "offsets.i64", "split.u8", "event_traits.i8", "vocab.tsv"}) {
    const std::string folder = WrittenCorpus(), path = folder + "/" + name;
    fs::resize_file(path, fs::file_size(path) - 1);
    EXPECT_THAT(ValueErrorOf([&] { Corpus::Open(folder); }), HasSubstr(std::string(name) + ": "));
    EXPECT_THAT(ValueErrorOf([&] { Corpus::Open(folder); }), HasSubstr("bytes, expected "));
  }
}

TEST(CorpusOpen, TokensOutsideTheVocabularyAreRefused) {
  const std::string folder = WrittenCorpus();
  Overwrite(folder + "/token.i32", 4 * 7, {30, 0, 0, 0});
  EXPECT_THAT(ValueErrorOf([&] { Corpus::Open(folder); }), HasSubstr("token.i32: row 7: token 30, expected 0 to 29"));
  Overwrite(folder + "/token.i32", 4 * 7, {-1, -1, -1, -1});
  EXPECT_THAT(ValueErrorOf([&] { Corpus::Open(folder); }), HasSubstr("token.i32: row 7: token -1, expected 0 to 29"));
}

TEST(CorpusOpen, BrokenRowsAreRefused) {
  std::string folder = WrittenCorpus();
  Overwrite(folder + "/segment.u8", 3, {4});
  EXPECT_THAT(ValueErrorOf([&] { Corpus::Open(folder); }), HasSubstr("segment.u8: row 3: segment 4"));
  folder = WrittenCorpus();
  Overwrite(folder + "/event.i32", 4 * 4, {2, 0, 0, 0});
  EXPECT_THAT(ValueErrorOf([&] { Corpus::Open(folder); }), HasSubstr("event.i32: row 4: event 2 after 0"));
  folder = WrittenCorpus();
  Overwrite(folder + "/offsets.i64", 8, {0, 0, 0, 0, 0, 0, 0, 0});
  EXPECT_THAT(ValueErrorOf([&] { Corpus::Open(folder); }), HasSubstr("offsets.i64: document 0 has 0 rows"));
  folder = WrittenCorpus();
  Overwrite(folder + "/offsets.i64", 8, {0, 0, 0, 0, 0, 1, 0, 0});
  EXPECT_THAT(ValueErrorOf([&] { Corpus::Open(folder); }), HasSubstr("offsets.i64: document 0 has"));
  folder = WrittenCorpus();
  Overwrite(folder + "/split.u8", 5, {3});
  EXPECT_THAT(ValueErrorOf([&] { Corpus::Open(folder); }), HasSubstr("split.u8: document 5: split 3"));
  folder = WrittenCorpus();
  Overwrite(folder + "/person.i64", 0, {static_cast<char>(0xE5), 3});  // 997, the second person
  EXPECT_THAT(ValueErrorOf([&] { Corpus::Open(folder); }), HasSubstr("person 997 appears twice"));
  folder = WrittenCorpus();
  Overwrite(folder + "/event_traits.i8", 3, {3});
  EXPECT_THAT(ValueErrorOf([&] { Corpus::Open(folder); }),
              HasSubstr("event_traits.i8: row 1: size is 3, expected -1 to 2"));
}

TEST(CorpusOpen, ACorruptedByteIsFoundByItsDigest) {
  const std::string folder = WrittenCorpus();
  Overwrite(folder + "/abspos.i32", 4 * 9, {1, 2, 3});
  EXPECT_NO_THROW(Corpus::Open(folder));
  EXPECT_THAT(ValueErrorOf([&] { Corpus::Open(folder, /*verify_digests=*/true); }),
              HasSubstr("abspos.i32: its bytes have sha256:"));
}

TEST(CorpusOpen, ABrokenManifestIsRefused) {
  const auto with = [](const std::string& from, const std::string& to) {
    const std::string folder = WrittenCorpus();
    std::string text = ReadFile(folder + "/corpus.json");
    const size_t at = text.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    WriteFileAtomically(folder + "/corpus.json", text.replace(at, from.size(), to));
    return folder;
  };
  EXPECT_THAT(ValueErrorOf([&] { Corpus::Open(with("{", "")); }), HasSubstr("corpus.json: "));
  EXPECT_THAT(ValueErrorOf([&] { Corpus::Open(with("lifescope.corpus", "other")); }),
              HasSubstr("corpus.json: format \"other\""));
  EXPECT_THAT(ValueErrorOf([&] { Corpus::Open(with("\"max_length\": 24", "\"max_lengt\": 24")); }),
              HasSubstr("max_length"));
  EXPECT_THAT(ValueErrorOf([&] { Corpus::Open(with("\"max_length\": 24", "\"max_length\": 6")); }),
              HasSubstr("document 0 has"));
  EXPECT_THAT(ValueErrorOf([&] { Corpus::Open(with("2020-01-01", "2020-01-32")); }),
              HasSubstr("reference_date is '2020-01-32'"));
  EXPECT_THAT(ValueErrorOf([&] { Corpus::Open(with("\"person_count\": 40", "\"person_count\": 41")); }),
              HasSubstr("sum to 40, expected 41"));
  EXPECT_THAT(ValueErrorOf([&] { Corpus::Open(with("\"person_count\": 40", "\"person_count\": \"40\"")); }),
              HasSubstr("corpus.json: "));
  EXPECT_THAT(ValueErrorOf([&] { Corpus::Open(with("\"token.i32\"", "\"tokens.i32\"")); }),
              HasSubstr("files has no token.i32"));
}

TEST(CorpusWriter, StoppedBeforeFinishLeavesNothing) {
  const std::string parent = TemporaryFolder();
  {
    CorpusWriter writer = PlainWriter(parent + "/stopped");
    writer.Add(Documents()[0], Split::kTrain);
    EXPECT_FALSE(fs::exists(parent + "/stopped"));
  }
  EXPECT_TRUE(fs::is_empty(parent));
}

TEST(CorpusWriter, LeavesNothingBesideTheCorpus) {
  const std::string folder = WrittenCorpus();
  const fs::path parent = fs::path(folder).parent_path();
  EXPECT_EQ(std::distance(fs::directory_iterator(parent), fs::directory_iterator()), 1);
}

TEST(CorpusWriter, NeverReplacesACorpus) {
  const std::string folder = WrittenCorpus();
  const std::string digest = Corpus::Open(folder)->digest();
  EXPECT_THAT(ValueErrorOf([&] { PlainWriter(folder); }), HasSubstr("exists already"));
  EXPECT_THAT(ValueErrorOf([&] { PlainWriter(folder + "/"); }), HasSubstr("exists already"));
  EXPECT_EQ(Corpus::Open(folder)->digest(), digest);
}

TEST(CorpusWriter, AnEmptyCorpusIsRefused) {
  CorpusWriter writer = PlainWriter(TemporaryFolder() + "/empty");
  EXPECT_THAT(ValueErrorOf([&] { writer.Finish(); }), HasSubstr("no document was added"));
}

TEST(CorpusWriter, BadDocumentsAreRefusedAndTheRestIsKept) {
  const std::string folder = TemporaryFolder() + "/kept";
  CorpusWriter writer = PlainWriter(folder);
  const Document good = Documents()[0];
  writer.Add(good, Split::kTrain);
  Document bad = good;
  bad.person_id = 5;
  bad.token[0] = 30;
  EXPECT_THAT(ValueErrorOf([&] { writer.Add(bad, Split::kTrain); }), HasSubstr("person 5: token 30 at row 0"));
  bad = EncodeLife(6, {}, {{1, 1, std::vector<int32_t>(22, 10)}}, 30).document;
  EXPECT_THAT(ValueErrorOf([&] { writer.Add(bad, Split::kTrain); }),
              HasSubstr("person 6: the document has 25 tokens, expected at most 24"));
  bad = good;
  bad.person_id = 7;
  bad.age.pop_back();
  EXPECT_THAT(ValueErrorOf([&] { writer.Add(bad, Split::kTrain); }), HasSubstr("differ in length"));
  bad = good;
  bad.person_id = 8;
  bad.age[0] = 40000;
  EXPECT_THAT(ValueErrorOf([&] { writer.Add(bad, Split::kTrain); }), HasSubstr("person 8: age 40000 at row 0"));
  EXPECT_THAT(ValueErrorOf([&] {
                writer.Add(Document{9, {}, {}, {}, {}, {}}, Split::kTrain);
              }),
              HasSubstr("person 9: the document is empty"));
  bad = good;
  bad.person_id = 10;
  EXPECT_THAT(ValueErrorOf([&] { writer.Add(bad, Split::kTrain, 0, {1}); }),
              HasSubstr("1 person trait values, expected 1 times 0"));
  writer.Finish();
  EXPECT_EQ(Corpus::Open(folder, true)->size(), 1);
}

TEST(CorpusWriter, APersonWrittenTwiceIsRefusedAtTheEnd) {
  const std::string parent = TemporaryFolder();
  {
    CorpusWriter writer = PlainWriter(parent + "/twice");
    for (const size_t i : {3, 7, 3}) writer.Add(Documents()[i], Split::kTrain);
    EXPECT_THAT(ValueErrorOf([&] { writer.Finish(); }), HasSubstr("person 991: was written twice"));
  }
  EXPECT_TRUE(fs::is_empty(parent));
}

TEST(CorpusWriter, AFurtherFileIsPartOfTheDigest) {
  const auto written = [](const std::string& text) {
    const std::string folder = TemporaryFolder() + "/more";
    CorpusWriter writer = PlainWriter(folder);
    writer.Add(Documents()[0], Split::kTrain);
    writer.AddFile("notes.txt", text);
    writer.Finish();
    EXPECT_EQ(ReadFile(folder + "/notes.txt"), text);
    return Corpus::Open(folder, /*verify_digests=*/true)->digest();
  };
  EXPECT_NE(written("one"), written("two"));
}

TEST(CorpusWriter, TraitValuesOutsideTheTraitAreRefused) {
  CorpusWriter writer(TemporaryFolder() + "/traits", SmallVocabulary(), 24, {2020, 1, 1}, "a test", kPersonTraits,
                      kEventTraits);
  const Document document = Documents()[0];
  EXPECT_THAT(ValueErrorOf([&] { writer.Add(document, Split::kTrain, 0, {2}, EventTruth(document)); }),
              HasSubstr("colour is 2, expected -1 to 1"));
  EXPECT_THAT(ValueErrorOf([&] {
                writer.Add(document, Split::kTrain, 0, {1}, {0, 0, 0});
              }),
              HasSubstr("3 event trait values, expected"));
}

}  // namespace
}  // namespace lifescope
