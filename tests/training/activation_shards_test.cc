#include "server/training/activation_shards.h"

#include <ATen/ATen.h>
#include <c10/util/Exception.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/artifact/artifact.h"
#include "server/artifact/safetensors.h"
#include "tests/support/golden.h"
#include "tests/training/counting_source.h"

namespace lifescope {
namespace {

class ActivationShardsTest : public testing::Test {
 protected:
  // 250 rows in shards of 100.
  ActivationShardsTest() {
    CountingSource source({{"a", 2}, {"b", 1}});
    WriteActivationShards(folder_, source, 250, 100, R"({"model": "m"})", [this](int64_t rows) { reported_ = rows; });
  }

  std::string folder_ = TemporaryFolder() + "/shards";
  int64_t reported_ = 0;
};

TEST_F(ActivationShardsTest, AreReadAsTheyWereWritten) {
  EXPECT_EQ(reported_, 250);
  const ActivationShards shards = ReadActivationShards(folder_);
  ASSERT_EQ(shards.sites.size(), 2u);
  EXPECT_EQ(shards.sites[1].name, "b");
  EXPECT_EQ(shards.sites[0].width, 2);
  ASSERT_EQ(shards.shards.size(), 3u);
  EXPECT_EQ(shards.shards[2].rows, 50);
  EXPECT_EQ(shards.origin, R"({"model":"m"})");
  EXPECT_THAT(shards.digest, testing::StartsWith("sha256:"));
}

TEST_F(ActivationShardsTest, AnEpochServesEveryRowOnce) {
  ShardStream stream(folder_, 250, 3);
  EXPECT_EQ(stream.epoch_rows(), 250);
  const at::Tensor rows = stream.Next(250);
  EXPECT_FALSE(at::equal(rows.select(1, 0), at::arange(250, at::kFloat)));
  EXPECT_TRUE(at::equal(std::get<0>(rows.select(1, 0).sort()), at::arange(250, at::kFloat)));
  // Columns of a row belong together.
  EXPECT_TRUE(at::equal(rows.select(1, 2), rows.select(1, 0) + 2));
}

TEST_F(ActivationShardsTest, RestoredStreamGoesOnToTheBit) {
  ShardStream stream(folder_, 120, 3);
  for (int64_t i = 0; i < 9; ++i) stream.Next(40);
  const SavedState state = stream.State();
  ShardStream restored(folder_, 120, 3);
  restored.Restore(state);
  EXPECT_EQ(restored.rows_served(), 360);
  for (int64_t i = 0; i < 9; ++i) EXPECT_TRUE(at::equal(restored.Next(40), stream.Next(40).clone()));
}

TEST_F(ActivationShardsTest, AShardThatIsNotWhatTheIndexSaysIsRefused) {
  WriteSafetensors(folder_ + "/shard-00001.safetensors", {{"activations", at::zeros({99, 3})}});
  ShardStream stream(folder_, 250, 3);
  try {
    stream.Next(10);
    FAIL() << "expected an error";
  } catch (const c10::ValueError& error) {
    EXPECT_THAT(error.msg(), testing::HasSubstr("shard-00001.safetensors: has digest sha256:"));
  }
}

TEST_F(ActivationShardsTest, AnIndexWithAnUnknownKeyOrNoShardIsRefused) {
  const std::string path = folder_ + "/activations.json";
  for (const char* text : {R"({"format": "lifescope activations 1", "dtype": "float32", "sites": [{"name": "a",
                               "width": 3}], "shards": [], "origin": {}})",
                           R"({"format": "lifescope activations 9", "dtype": "float32", "sites": [], "shards": [],
                               "origin": {}})",
                           R"({"format": "lifescope activations 1", "more": 1})", "{"}) {
    WriteFileAtomically(path, text);
    EXPECT_THROW(ReadActivationShards(folder_), c10::ValueError) << text;
  }
}

TEST_F(ActivationShardsTest, AnExistingFolderIsNotOverwritten) {
  CountingSource source({{"a", 3}});
  EXPECT_THROW(WriteActivationShards(folder_, source, 10, 10, "{}", [](int64_t) {}), c10::ValueError);
}

}  // namespace
}  // namespace lifescope
