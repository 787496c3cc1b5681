// A hand-made corpus of a few persons for the struct_small model, and what a scan of it must give.
#pragma once

#include <ATen/ATen.h>

#include <memory>
#include <string>
#include <vector>

#include "server/corpus/corpus.h"
#include "server/model/transformer.h"
#include "tests/support/relu_dictionary.h"

namespace lifescope {

// One person of a hand-made corpus.
struct TinyPerson {
  Document document;
  Split split = Split::kTrain;
  std::vector<int8_t> person_traits;
  std::vector<int8_t> event_traits;
};

// The golden model struct_small.
std::shared_ptr<const Transformer> TinyModel(at::ScalarType dtype);

// A life with the given tokens in each event, 30 days apart; two background tokens.
Document TinyLife(int64_t person_id, const std::vector<std::vector<int32_t>>& events);

// Fourteen random lives, persons 100, 101...; splits alternate train, validation, test. Traits: person.sector (a, b),
// event.kind (x, y, z), -1 for some events.
std::vector<TinyPerson> RandomPersons();

std::shared_ptr<const Corpus> WriteCorpus(const std::vector<TinyPerson>& persons, bool with_traits = true);

// Dense features [positions, features] of a document at a hook point, from a run of the document alone.
at::Tensor DenseFeatures(const Transformer& model, const Dictionary& dictionary, const Document& document,
                         const HookPoint& point);

}  // namespace lifescope
