#include "tests/training/tiny_corpus.h"

#include <utility>
#include <vector>

#include "server/corpus/random.h"

namespace lifescope {
namespace {

constexpr int32_t kKinds = 4;
constexpr int32_t kTokensOfKind = 3;

Vocabulary TinyVocabulary() {
  std::vector<Vocabulary::Entry> entries;
  for (const char* token :
       {"[PAD]", "[CLS]", "[SEP]", "[MASK]", "[PLCH0]", "[PLCH1]", "[PLCH2]", "[PLCH3]", "[PLCH4]", "[UNK]"}) {
    entries.push_back({token, "GENERAL"});
  }
  for (int32_t i = 0; i < kKinds * kTokensOfKind; ++i) entries.push_back({"TOKEN_" + std::to_string(i), "TOKEN"});
  return Vocabulary::FromEntries(std::move(entries));
}

Document TinyLife(int64_t person, Random& random) {
  const auto kind = static_cast<int32_t>(person % kKinds);
  const auto draw = [&] {
    return kFirstContentToken + kind * kTokensOfKind + static_cast<int32_t>(random.Below(kTokensOfKind));
  };
  std::vector<Event> events;
  const int64_t count = 5 + random.Below(8);
  for (int64_t i = 0; i < count; ++i) {
    events.push_back({static_cast<int32_t>(100 + 30 * i), static_cast<int32_t>(30 + i / 4), {draw(), draw()}});
  }
  return EncodeLife(person, {kUnk, kUnk, kUnk}, events, kTinyMaxLength).document;
}

}  // namespace

std::shared_ptr<const Corpus> MakeTinyCorpus(const std::string& folder, int64_t person_count) {
  CorpusWriter writer(folder, TinyVocabulary(), kTinyMaxLength, Date{2020, 1, 1}, "tiny");
  Random random(5);
  for (int64_t person = 0; person < person_count; ++person) {
    writer.Add(TinyLife(person, random), person % 5 == 4 ? Split::kValidation : Split::kTrain);
  }
  writer.Finish();
  return Corpus::Open(folder);
}

Hyperparameters TinyShape() {
  Hyperparameters shape;
  shape.hidden_size = 16;
  shape.hidden_ff = 32;
  shape.n_encoders = 2;
  shape.n_heads = 4;
  shape.n_local = 2;
  shape.local_window_size = 8;
  shape.num_random_features = 16;
  shape.max_length = kTinyMaxLength;
  shape.vocab_size = kFirstContentToken + kKinds * kTokensOfKind;
  return shape;
}

}  // namespace lifescope
