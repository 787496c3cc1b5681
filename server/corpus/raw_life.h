// Lives as a registry holds them, before tokens: what table import and the synthetic world share. It turns raw
// fields into a vocabulary and documents as life2vec's data pipeline does.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "server/corpus/calendar.h"
#include "server/corpus/corpus.h"
#include "server/corpus/vocabulary.h"

namespace lifescope {

// One row of a source table. Empty text: missing.
struct RawEvent {
  Date date;
  int32_t source = 0;               // index into RawSchema::sources
  std::vector<std::string> fields;  // as RawSchema::sources[source].fields
};

struct RawPerson {
  int64_t person_id = 0;
  Date birthday;
  std::string sex;
  std::vector<RawEvent> events;  // in source order, then file order; sorted by date (stable) when encoded
};

struct RawField {
  std::string name;      // "OCCUPATION"
  std::string prefix;    // "OCC": the token is OCC_<value>
  std::string category;  // in vocab.tsv
  bool binned = false;   // a positive number, cut into bins by training quantiles
};

struct RawSource {
  std::string name;  // "labor"
  std::vector<RawField> fields;
};

struct RawSchema {
  std::vector<RawSource> sources;
  // Reference of abspos; events on or after `threshold` are cut.
  Date reference_date{2020, 1, 1};
  Date threshold{2026, 1, 1};
  int32_t bin_count = 50;
  // A token needs this many distinct training persons.
  int32_t min_persons = 2;
  int32_t first_birth_year = 1945;
  int32_t last_birth_year = 1996;

  // The schema of life2vec-light: labour (CITY, OCC, IND, INCOME) and health (DIAG, TYPE).
  static RawSchema Life2vecLight();
};

struct RawEncodeOptions {
  int64_t max_length = 256;
  // Do as the public code does where it is defective: values are split at spaces, background values are matched as
  // they are written (so that they become [UNK]). Off: a value is one token, its spaces written as underscores
  // (TYPE_Urgent_Care), and background is FEMALE or MALE (whatever its case in the table), MONTH_m, YEAR_y.
  bool faithful = false;
};

// Edges of a binned field, fitted on positive training values in the way of the published pipeline (a one-partition
// approximate quantile; facts/life2vec.md section 8).
std::vector<double> FitBinEdges(std::vector<double> training_values, int32_t bin_count);

// Everything needed to tokenise: vocabulary and bin edges, fitted on the training persons.
struct Tokenizer {
  RawSchema schema;
  RawEncodeOptions options;
  Vocabulary vocabulary;
  // By "<source>.<field>".
  std::map<std::string, std::vector<double>> bin_edges;

  static Tokenizer Fit(const RawSchema& schema, const RawEncodeOptions& options, const std::vector<RawPerson>& persons,
                       const std::vector<Split>& splits);
  EncodedLife Encode(const RawPerson& person) const;
};

// Train, validation, test by shares, from a seed (own generator).
std::vector<Split> SplitPersons(int64_t person_count, double train_share, double validation_share, uint64_t seed);

// The order of persons in a corpus: train, validation, test, each by person id.
std::vector<size_t> CorpusOrder(const std::vector<RawPerson>& persons, const std::vector<Split>& splits);

}  // namespace lifescope
