// A small random model and documents for the laws of the run engine.
#pragma once

#include <ATen/ATen.h>

#include <memory>
#include <string>
#include <vector>

#include "server/artifact/safetensors.h"
#include "server/intervention/engine.h"
#include "tests/support/relu_dictionary.h"

namespace lifescope {

// hidden 16, 4 heads of which 2 local (window 4), ff 32, 2 layers, max_length 48, vocabulary 40; open gates.
const Transformer& SmallModel();

// [CLS] 2 tokens [SEP] and events of 1 to 4 tokens with their [SEP], drawn from `seed`.
Document RandomDocument(uint64_t seed, int64_t length);

// A document of golden/life2vec/struct_small/interventions.f32.safetensors: "clean", "corrupt", "other".
Document GoldenDocument(const SafetensorsFile& file, const std::string& name);

// Documents of lengths 20, 31 and 9, deterministic, with a dictionary of 24 features over blocks.0.hook_resid_post.
Run SmallRun();
// The same dictionary.
const ReluDictionary& SmallDictionary();

// float64, as SmallModel with 4 layers; and its documents with a dictionary of 24 features over
// blocks.1.hook_resid_post.
const Transformer& DeepModel();
Run DeepRun();
const ReluDictionary& DeepDictionary();

HookPoint Point(const std::string& name);
Positions At(std::vector<int64_t> indices);
Edit MakeEdit(EditTarget target, EditMode mode, Positions positions = {}, std::vector<int64_t> documents = {});
// Adds a read and returns its index.
int64_t AddRead(Run* run, ReadKind kind, Positions positions = {}, std::vector<int64_t> documents = {});
int64_t AddActivationRead(Run* run, const std::string& hook_point);
void AddIntervention(Run* run, std::vector<Edit> edits);

// The value of a read; a test failure when the document has none.
const ReadValue& ValueOf(const DocumentResult& document, int64_t read);
at::Tensor TensorOf(const DocumentResult& document, int64_t read);

// Same shape, same dtype, same bits.
bool SameBits(const at::Tensor& a, const at::Tensor& b);

// |actual - expected| <= tolerance * (1 + |expected|), elementwise.
void ExpectNear(const at::Tensor& actual, const at::Tensor& expected, double tolerance);

}  // namespace lifescope
