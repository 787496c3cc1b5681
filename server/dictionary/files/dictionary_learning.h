// saprmarks/dictionary_learning: a folder {ae.pt, config.json}.
#pragma once

#include <string>

#include "server/dictionary/files/stored_dictionary.h"

namespace lifescope {

// Classes by trainer.dict_class of config.json: AutoEncoder and AutoEncoderNew (April 2024) give standard,
// GatedAutoEncoder gated, JumpReluAutoEncoder jumprelu, AutoEncoderTopK topk, BatchTopKSAE and MatryoshkaBatchTopKSAE
// jumprelu with their one threshold (refused when it was never set). Strict on names and shapes of the tensors and on
// what config.json says of them; its other keys steer training and are not looked at. lm_name is the model;
// submodule_name, when it is there, the hook point. ae.pt is read without executing anything.
StoredDictionary ReadDictionaryLearning(const std::string& folder);

// Writes what load_dictionary of that library loads, in one step: standard as AutoEncoder, or as AutoEncoderNew when
// b_dec is not subtracted from the input; gated and topk with it subtracted, jumprelu with it folded into b_enc, as
// these classes compute. Throws c10::ValueError naming what it cannot hold (transcoders, a normalised input), or when
// the folder exists.
void WriteDictionaryLearning(const std::string& folder, const DictionaryWeights& weights, const DictionaryInfo& info);

}  // namespace lifescope
