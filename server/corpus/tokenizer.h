// Turns raw lives into a vocabulary and documents as life2vec's data pipeline does.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "server/corpus/document.h"
#include "server/corpus/raw_life.h"
#include "server/corpus/table_description.h"
#include "server/corpus/vocabulary.h"

namespace lifescope {

struct RawEncodeOptions {
  int64_t max_length = 256;
  // Do as the public code does where it is defective: values are split at spaces, and where the description says so
  // background is matched as it stands in the table (so that it becomes [UNK]). Off: a value is one token, its spaces
  // written as underscores (TYPE_Urgent_Care).
  bool faithful = false;
};

// Everything needed to tokenise. Immutable and thread-safe once fitted.
struct Tokenizer {
  TableDescription description;
  RawEncodeOptions options;
  Vocabulary vocabulary;
  // By "<table>.<column>".
  std::map<std::string, std::vector<double>> bin_edges;

  // Throws c10::ValueError naming the person on an event whose table or fields are not the description's, or on a
  // number that is none.
  EncodedLife Encode(const RawPerson& person) const;
};

// Fits a tokenizer on the training persons, each of whom it sees twice: bins first, then tokens, whose numbers need
// the bins. The persons take no memory; what is held is the distinct tokens, and `memory_bytes` to sort numbers in.
//
//   TokenizerFit fit(description, options, "scratch", 256 << 20);
//   for (each training person) fit.AddNumbers(person);
//   for (each training person) fit.AddTokens(person);
//   Tokenizer tokenizer = fit.Finish();
//
// Not thread-safe.
class TokenizerFit {
 public:
  // `scratch`: a folder for numbers that do not fit in memory; made when it is needed, never removed.
  TokenizerFit(TableDescription description, const RawEncodeOptions& options, std::string scratch,
               int64_t memory_bytes);
  ~TokenizerFit();

  void AddNumbers(const RawPerson& person);
  // Throws c10::ValueError naming a field that has too many distinct values to be a code.
  void AddTokens(const RawPerson& person);
  Tokenizer Finish();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace lifescope
