// The published pipeline's vocabularies, bin edges and encodings of the sample tables, reproduced exactly.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "server/artifact/artifact.h"
#include "server/artifact/safetensors.h"
#include "server/corpus/corpus.h"
#include "server/corpus/table_import.h"
#include "tests/support/golden.h"

namespace lifescope {
namespace {

struct Sample {
  std::string corpus;
  int64_t max_length;
};

std::vector<Sample> Samples() { return {{"edge", 48}, {"dummy", 64}, {"dummy", 200}, {"structured", 256}}; }

class PublishedCorpus : public testing::TestWithParam<Sample> {
 protected:
  void SetUp() override {
    folder_ = GoldenPath("life2vec/corpora/" + GetParam().corpus);
    encoded_ = folder_ + "/encoded_L" + std::to_string(GetParam().max_length) + ".safetensors";
    if (!HasGolden("life2vec/corpora/" + GetParam().corpus)) GTEST_SKIP() << folder_ << " is in the whole golden set";
    options_.encode.faithful = true;
    options_.encode.max_length = GetParam().max_length;
    options_.description.split.table = TableSource{{"split.csv"}, {}, "USER_ID", {}};
    // A megabyte, so that the larger samples are sorted on disk.
    options_.memory_bytes = 1 << 20;
  }

  std::string folder_, encoded_;
  TableImportOptions options_;
};

TEST_P(PublishedCorpus, IncomeEdgesAreTheSameDoubles) {
  const std::string path = TemporaryFolder() + "/corpus";
  ImportTables(folder_, path, options_);
  const nlohmann::json made = nlohmann::json::parse(ReadFile(path + "/import.json"));
  const nlohmann::json expected = nlohmann::json::parse(ReadFile(folder_ + "/income_edges.json"));
  EXPECT_EQ(made.at("bin_edges").at("labor.INCOME").get<std::vector<double>>(),
            expected.at("edges").get<std::vector<double>>());
}

TEST_P(PublishedCorpus, EveryLifeIsTheSame) {
  const std::string path = TemporaryFolder() + "/corpus";
  const TableImportReport report = ImportTables(folder_, path, options_);
  EXPECT_EQ(report.rows().bad_row_count, 0);
  const auto corpus = Corpus::Open(path, /*verify_digests=*/true);
  EXPECT_EQ(corpus->vocabulary().ToTsv(), ReadFile(folder_ + "/vocab.tsv"));

  const SafetensorsFile expected = SafetensorsFile::Open(encoded_);
  const auto read = [&](const std::string& name) {
    const at::Tensor values = expected.Read(name).to(at::kLong).contiguous();
    return std::vector<int64_t>(values.data_ptr<int64_t>(), values.data_ptr<int64_t>() + values.numel());
  };
  const auto offsets = read("offsets"), persons = read("user_id"), splits = read("split"), clipped = read("clipped");
  const auto token = read("token"), abspos = read("abspos"), age = read("age"), segment = read("segment");
  const auto sentences = read("n_sentences");
  ASSERT_EQ(corpus->size(), static_cast<int64_t>(persons.size()));
  int64_t clipped_count = 0;
  for (int64_t i = 0; i < corpus->size(); ++i) {
    const Document document = corpus->DocumentAt(i);
    ASSERT_EQ(document.person_id, persons[i]);
    const auto rows = [&](const std::vector<int64_t>& all) {
      return std::vector<int32_t>(all.begin() + offsets[i], all.begin() + offsets[i + 1]);
    };
    EXPECT_EQ(static_cast<int64_t>(corpus->split(i)), splits[i]) << persons[i];
    EXPECT_EQ(document.token, rows(token)) << persons[i];
    EXPECT_EQ(document.abspos, rows(abspos)) << persons[i];
    EXPECT_EQ(document.age, rows(age)) << persons[i];
    EXPECT_EQ(document.segment, rows(segment)) << persons[i];
    EXPECT_EQ(document.event_count(), sentences[i]) << persons[i];
    clipped_count += clipped[i];
  }
  EXPECT_EQ(report.clipped_person_count, clipped_count);
  EXPECT_EQ(corpus->manifest().clipped_person_count, clipped_count);
}

INSTANTIATE_TEST_SUITE_P(Samples, PublishedCorpus, testing::ValuesIn(Samples()), [](const auto& info) {
  return info.param.corpus + "L" + std::to_string(info.param.max_length);
});

}  // namespace
}  // namespace lifescope
