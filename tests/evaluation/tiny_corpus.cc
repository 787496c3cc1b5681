#include "tests/evaluation/tiny_corpus.h"

#include "server/corpus/random.h"
#include "server/intervention/engine.h"
#include "tests/support/golden.h"

namespace lifescope {

std::shared_ptr<const Transformer> TinyModel(at::ScalarType dtype) {
  return LoadModel(GoldenPath("life2vec/struct_small"), dtype, at::kCPU).transformer;
}

Document TinyLife(int64_t person_id, const std::vector<std::vector<int32_t>>& events) {
  std::vector<Event> dated;
  for (const std::vector<int32_t>& tokens : events) {
    const int32_t number = static_cast<int32_t>(dated.size());
    dated.push_back({100 + 30 * number, 30 + number / 12, tokens});
  }
  return EncodeLife(person_id, {kUnk, kUnk}, dated, 256).document;
}

std::vector<TinyPerson> RandomPersons() {
  Random random(11);
  std::vector<TinyPerson> persons;
  for (int64_t person = 0; person < 14; ++person) {
    std::vector<std::vector<int32_t>> events(static_cast<size_t>(2 + random.Below(12)));
    TinyPerson p;
    for (std::vector<int32_t>& tokens : events) {
      const int8_t kind = static_cast<int8_t>(random.Below(4) - 1);
      p.event_traits.push_back(kind);
      for (int64_t i = 1 + random.Below(4); i > 0; --i) {
        tokens.push_back(kFirstContentToken + 50 * (kind + 1) + static_cast<int32_t>(random.Below(50)));
      }
    }
    p.document = TinyLife(100 + person, events);
    p.split = static_cast<Split>(person % 3);
    p.person_traits = {static_cast<int8_t>(random.Below(2))};
    persons.push_back(std::move(p));
  }
  return persons;
}

std::shared_ptr<const Corpus> WriteCorpus(const std::vector<TinyPerson>& persons, bool with_traits) {
  const std::string folder = TemporaryFolder() + "/corpus";
  std::vector<Trait> person_traits, event_traits;
  if (with_traits) {
    person_traits = {{"sector", {"a", "b"}}};
    event_traits = {{"kind", {"x", "y", "z"}}};
  }
  CorpusWriter writer(folder, Vocabulary::Load(GoldenPath("life2vec/struct_small/vocab.tsv")), 256, Date{2020, 1, 1},
                      "hand-made", person_traits, event_traits);
  for (const TinyPerson& p : persons) {
    if (with_traits) {
      writer.Add(p.document, p.split, 0, p.person_traits, p.event_traits);
    } else {
      writer.Add(p.document, p.split);
    }
  }
  writer.Finish();
  return Corpus::Open(folder, true);
}

at::Tensor DenseFeatures(const Transformer& model, const Dictionary& dictionary, const Document& document,
                         const HookPoint& point) {
  Run run;
  run.documents = {document};
  run.reads = {{"", ActivationRead{point}, {}, {}}};
  const RunResult result = Execute(run, model);
  return dictionary.Encode(std::get<at::Tensor>(result.clean[0].values[0].value).flatten(1));
}

}  // namespace lifescope
