// A model with one known circuit: head 3 of layer 0 moves "the source is there" from the source's position to the
// reader's, and neuron 5 of layer 1 turns it into the answer. Everything else writes nothing.
#pragma once

#include "server/corpus/document.h"
#include "server/model/transformer.h"

namespace lifescope {

constexpr int32_t kSourceToken = 20, kOtherToken = 21, kReaderToken = 22, kAnswerToken = 30, kWrongToken = 31;
constexpr int64_t kSourcePosition = 6, kReaderPosition = 9;
constexpr int64_t kPlantedHead = 3, kPlantedNeuron = 5;

// hidden 16, 4 heads of which 2 local (window 8), ff 8, 2 layers, relu; float64.
Transformer PlantedModel();

// 12 positions; `source` stands at kSourcePosition, the reader at kReaderPosition.
Document PlantedDocument(int32_t source);

}  // namespace lifescope
