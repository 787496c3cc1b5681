// A corpus small enough to train on within a test: four kinds of persons, each with three tokens of its own that fill
// all its events, so that a person's kind is worth log 4 nats of every masked token.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "server/corpus/corpus.h"
#include "server/model/hyperparameters.h"

namespace lifescope {

inline constexpr int64_t kTinyMaxLength = 48;

// Written into `folder` and opened. Every fifth person is of the validation split, the others of the training split.
std::shared_ptr<const Corpus> MakeTinyCorpus(const std::string& folder, int64_t person_count = 80);

// A model that learns it in a second or two.
Hyperparameters TinyShape();

}  // namespace lifescope
