#include "server/corpus/world.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "server/artifact/artifact.h"
#include "server/corpus/corpus.h"
#include "server/corpus/table_import.h"
#include "server/corpus/world_life.h"
#include "tests/corpus/value_error.h"
#include "tests/support/golden.h"

namespace lifescope {
namespace {

using testing::HasSubstr;

namespace fs = std::filesystem;

std::string World(int64_t person_count, uint64_t seed, int64_t max_length = 256) {
  const std::string folder = TemporaryFolder() + "/world";
  SynthesizeWorld(folder, {person_count, seed, max_length});
  return folder;
}

// One world for the tests that only read it.
const Corpus& Sample() {
  static const std::shared_ptr<const Corpus> corpus = Corpus::Open(World(2000, 7), /*verify_digests=*/true);
  return *corpus;
}

int64_t Index(const std::vector<Trait>& traits, const std::string& name) {
  for (size_t i = 0; i < traits.size(); ++i) {
    if (traits[i].name == name) return static_cast<int64_t>(i);
  }
  ADD_FAILURE() << "no trait " << name;
  return 0;
}

// Calls `take(person index, event, words)` for every event.
template <typename Take>
void ForEachEvent(const Corpus& corpus, const Take& take) {
  for (int64_t i = 0; i < corpus.size(); ++i) {
    const Document document = corpus.DocumentAt(i);
    std::vector<std::vector<std::string>> words(static_cast<size_t>(document.event_count()) + 1);
    for (int64_t row = 0; row < document.length(); ++row) {
      if (document.token[row] != kSep)
        words[document.event[row]].push_back(corpus.vocabulary().token(document.token[row]));
    }
    for (int32_t event = 1; event <= document.event_count(); ++event) take(i, event, words[event]);
  }
}

bool StartsWith(const std::string& word, const std::string& prefix) { return word.rfind(prefix, 0) == 0; }

TEST(World, OneSeedGivesTheSameBytes) {
  const std::string first = World(200, 3), second = World(200, 3);
  size_t files = 0;
  for (const auto& entry : fs::directory_iterator(first)) {
    const std::string name = entry.path().filename();
    EXPECT_EQ(ReadFile(first + "/" + name), ReadFile(second + "/" + name)) << name;
    ++files;
  }
  EXPECT_EQ(files, 13u);
}

TEST(World, AnotherSeedGivesAnotherWorld) {
  EXPECT_NE(Corpus::Open(World(200, 3))->digest(), Corpus::Open(World(200, 4))->digest());
}

TEST(World, PeopleLiveTheSameLivesInALargerWorld) {
  const auto small = Corpus::Open(World(50, 3)), large = Corpus::Open(World(200, 3));
  const int64_t illness = Index(small->person_traits(), "illness");
  for (int64_t i = 0; i < small->size(); ++i) {
    const int64_t other = large->Find(small->person_id(i)).value();
    EXPECT_EQ(small->DocumentAt(i).age, large->DocumentAt(other).age);
    EXPECT_EQ(small->DocumentAt(i).abspos, large->DocumentAt(other).abspos);
    EXPECT_EQ(small->PersonTrait(i, illness), large->PersonTrait(other, illness));
  }
}

TEST(World, DocumentsAreOfTheIntendedLength) {
  const Corpus& corpus = Sample();
  EXPECT_EQ(corpus.size(), 2000);
  const double mean = static_cast<double>(corpus.manifest().token_count) / 2000;
  EXPECT_GT(mean, 120);
  EXPECT_LT(mean, 160);
  EXPECT_LT(corpus.manifest().clipped_person_count, 100);
  EXPECT_EQ(corpus.manifest().split_person_counts[0], 1400);
  EXPECT_EQ(corpus.manifest().origin, "synthetic world, seed 7");
}

TEST(World, UnknownTokensAreRare) {
  const Corpus& corpus = Sample();
  int64_t unknown = 0;
  for (int64_t i = 0; i < corpus.size(); ++i) {
    const Document document = corpus.DocumentAt(i);
    unknown += std::count(document.token.begin(), document.token.end(), kUnk);
  }
  EXPECT_LT(static_cast<double>(unknown), 0.001 * static_cast<double>(corpus.manifest().token_count));
}

TEST(World, EveryTraitValueIsCommonEnoughToFind) {
  const Corpus& corpus = Sample();
  for (size_t t = 0; t < corpus.person_traits().size(); ++t) {
    std::vector<int64_t> counts(corpus.person_traits()[t].values.size());
    for (int64_t i = 0; i < corpus.size(); ++i) ++counts[static_cast<size_t>(corpus.PersonTrait(i, t))];
    for (size_t v = 0; v < counts.size(); ++v) {
      EXPECT_GT(counts[v], 100) << corpus.person_traits()[t].name << " " << corpus.person_traits()[t].values[v];
    }
  }
}

TEST(World, SectorDecidesMostOccupationsAndIndustries) {
  const Corpus& corpus = Sample();
  const int64_t sector = Index(corpus.event_traits(), "sector"), retired = Index(corpus.event_traits(), "retired");
  int64_t matching = 0, said = 0;
  ForEachEvent(corpus, [&](int64_t i, int32_t event, const std::vector<std::string>& words) {
    const int8_t truth = corpus.EventTrait(i, event, sector);
    for (const std::string& word : words) {
      if (!StartsWith(word, "OCC_") && !StartsWith(word, "IND_")) continue;
      const bool is_retired = corpus.EventTrait(i, event, retired) == 1;
      EXPECT_EQ(is_retired, word == "OCC_990" || word == "IND_90") << word;
      EXPECT_EQ(truth < 0, is_retired);
      if (is_retired || word == "OCC_900") continue;
      ++said;
      matching += word[4] - '1' == truth ? 1 : 0;
    }
  });
  EXPECT_GT(said, 40000);
  EXPECT_GT(static_cast<double>(matching), 0.95 * static_cast<double>(said));
  EXPECT_LT(matching, said);
}

TEST(World, ChronicCodesAlternateAfterOnsetOnly) {
  const Corpus& corpus = Sample();
  const int64_t active = Index(corpus.event_traits(), "illness_active");
  const int64_t visit = Index(corpus.event_traits(), "chronic_visit"),
                phase = Index(corpus.event_traits(), "chronic_phase");
  const int64_t illness = Index(corpus.person_traits(), "illness");
  const std::vector<std::vector<std::string>> codes = {
      {"DIAG_I20", "DIAG_I50"}, {"DIAG_J44", "DIAG_J45"}, {"DIAG_F32", "DIAG_F41"}};
  std::map<int64_t, int8_t> last_phase;
  int64_t visits = 0;
  ForEachEvent(corpus, [&](int64_t i, int32_t event, const std::vector<std::string>& words) {
    const int8_t kind = corpus.EventTrait(i, event, visit), turn = corpus.EventTrait(i, event, phase);
    EXPECT_EQ(kind < 0, turn < 0);
    for (const std::string& word : words) {
      for (size_t k = 0; k < codes.size(); ++k) {
        for (size_t p = 0; p < 2; ++p) {
          const bool is_that_visit = kind == static_cast<int8_t>(k) && turn == static_cast<int8_t>(p);
          EXPECT_TRUE(word != codes[k][p] || is_that_visit) << word;
        }
      }
    }
    if (kind < 0) return;
    ++visits;
    EXPECT_EQ(corpus.PersonTrait(i, illness), kind + 1);
    EXPECT_EQ(corpus.EventTrait(i, event, active), 1);
    if (last_phase.count(i) != 0) {
      EXPECT_EQ(turn, 1 - last_phase[i]);
    }
    last_phase[i] = turn;
  });
  EXPECT_GT(visits, 5000);
}

TEST(World, AShockLowersIncome) {
  const Corpus& corpus = Sample();
  const int64_t in_shock = Index(corpus.event_traits(), "in_shock"),
                path = Index(corpus.person_traits(), "income_path");
  double sums[2] = {0, 0};
  int64_t counts[2] = {0, 0};
  ForEachEvent(corpus, [&](int64_t i, int32_t event, const std::vector<std::string>& words) {
    const int8_t shock = corpus.EventTrait(i, event, in_shock);
    if (shock < 0 || corpus.PersonTrait(i, path) != 3 || !StartsWith(words[0], "INCOME_")) return;
    sums[shock] += std::stoi(words[0].substr(7));
    ++counts[shock];
  });
  ASSERT_GT(counts[1], 500);
  EXPECT_LT(sums[1] / static_cast<double>(counts[1]) + 8, sums[0] / static_cast<double>(counts[0]));
}

TEST(World, FamilyEventsFollowTheFamilyState) {
  const Corpus& corpus = Sample();
  const int64_t state = Index(corpus.event_traits(), "family_state"), family = Index(corpus.person_traits(), "family");
  ForEachEvent(corpus, [&](int64_t i, int32_t event, const std::vector<std::string>& words) {
    const int8_t now = corpus.EventTrait(i, event, state);
    const int8_t person = corpus.PersonTrait(i, family);
    EXPECT_TRUE(person == 0   ? now == 0
                : person == 1 ? now <= 1
                : person == 2 ? now == 1 || now == 2
                              : now == 1 || now == 3);
    for (const std::string& word : words) {
      EXPECT_TRUE(word != "FAM_BIRTH" || now == 2);
      EXPECT_TRUE((word != "FAM_SEPARATION" && word != "FAM_ALIMONY") || now == 3) << word;
      EXPECT_TRUE(word != "HOME_1" || now == 0 || now == 3);
    }
  });
}

TEST(World, EventTruthStaysWithItsEventWhenAFrontIsClipped) {
  const auto whole = Corpus::Open(World(200, 5, 1000)), clipped = Corpus::Open(World(200, 5, 80));
  EXPECT_EQ(whole->manifest().clipped_person_count, 0);
  EXPECT_GT(clipped->manifest().clipped_person_count, 100);
  for (int64_t i = 0; i < whole->size(); ++i) {
    const Document all = whole->DocumentAt(i), kept = clipped->DocumentAt(clipped->Find(all.person_id).value());
    const int32_t skipped = all.event_count() - kept.event_count();
    EXPECT_EQ(kept.abspos.back(), all.abspos.back());
    for (int32_t event = 1; event <= kept.event_count(); ++event) {
      for (size_t trait = 0; trait < whole->event_traits().size(); ++trait) {
        EXPECT_EQ(clipped->EventTrait(i, event, trait), whole->EventTrait(i, event + skipped, trait));
      }
    }
  }
}

TEST(World, TablesOfAWorldImportToTheSameLives) {
  const std::string tables = TemporaryFolder() + "/tables", imported = TemporaryFolder() + "/imported";
  SynthesizeTables(tables, {300, 5, 120});
  TableImportOptions options;
  options.description = world::Description();
  options.description.split.seed = 5;
  options.encode.max_length = 120;
  options.memory_bytes = 1 << 18;
  const TableImportReport report = ImportTables(tables, imported, options);
  EXPECT_EQ(report.rows().bad_row_count + report.eventless_person_count, 0);
  const std::string direct = World(300, 5, 120);
  for (const char* name : {"vocab.tsv", "token.i32", "abspos.i32", "age.i16", "segment.u8", "event.i32", "offsets.i64",
                           "person.i64", "split.u8"}) {
    EXPECT_EQ(ReadFile(imported + "/" + name), ReadFile(direct + "/" + name)) << name;
  }
  EXPECT_THAT(ValueErrorOf([&] { SynthesizeTables(tables, {300, 5, 120}); }), HasSubstr("exists already"));
}

TEST(World, TablesThatStopHalfwayLeaveNothing) {
  const std::string parent = TemporaryFolder();
  const auto stop = [](const std::string&, int64_t, int64_t) { throw std::runtime_error("stopped"); };
  EXPECT_THROW(SynthesizeTables(parent + "/raw/", {300, 5, 120}, stop), std::runtime_error);
  EXPECT_TRUE(std::filesystem::is_empty(parent));
}

TEST(World, ImpossibleSizesAreRefused) {
  EXPECT_THAT(ValueErrorOf([&] { World(5, 1); }), HasSubstr("person_count is 5"));
  EXPECT_THAT(ValueErrorOf([&] { World(50, 1, 8); }), HasSubstr("max_length is 8"));
}

}  // namespace
}  // namespace lifescope
