#include <c10/util/Exception.h>

#include <algorithm>
#include <optional>
#include <span>
#include <tuple>
#include <unordered_map>
#include <utility>

#include "server/artifact/artifact.h"
#include "server/artifact/output_file.h"
#include "server/corpus/bin_edges.h"
#include "server/corpus/event_tokens.h"
#include "server/corpus/external_sort.h"
#include "server/corpus/table_fault.h"
#include "server/corpus/tokenizer.h"

namespace lifescope {
namespace {

// More distinct values than this are no codes of a register but names or numbers.
constexpr size_t kMostDistinctValues = 2'000'000;

// Parts between underscores; digits compare as numbers and before text ("OCC_9" < "OCC_10" < "OCC_A").
using TokenPart = std::tuple<bool, size_t, std::string>;
std::vector<TokenPart> SortKey(const std::string& token) {
  std::vector<TokenPart> key;
  size_t begin = 0;
  while (begin <= token.size()) {
    const size_t end = std::min(token.find('_', begin), token.size());
    std::string part = token.substr(begin, end - begin);
    const bool number = !part.empty() && part.find_first_not_of("0123456789") == std::string::npos;
    if (number) part.erase(0, std::min(part.find_first_not_of('0'), part.size() - 1));
    const size_t digits = number ? part.size() : 0;
    key.emplace_back(!number, digits, std::move(part));
    begin = end + 1;
  }
  return key;
}

// Tokens that at least `min_persons` persons have, in vocabulary order. Persons come one after the other.
class TokenCount {
 public:
  void Add(const std::string& token, int64_t person) {
    Count& count = counts_[token];
    if (count.persons > 0 && count.last_person == person) return;
    count.persons += 1;
    count.last_person = person;
  }

  size_t size() const { return counts_.size(); }

  std::vector<std::string> Frequent(int64_t min_persons) const {
    std::vector<std::pair<std::vector<TokenPart>, std::string>> keyed;
    for (const auto& [token, count] : counts_) {
      if (count.persons >= min_persons) keyed.emplace_back(SortKey(token), token);
    }
    std::sort(keyed.begin(), keyed.end());
    std::vector<std::string> tokens;
    for (auto& [key, token] : keyed) tokens.push_back(std::move(token));
    return tokens;
  }

 private:
  struct Count {
    int64_t persons = 0;
    int64_t last_person = 0;
  };
  std::unordered_map<std::string, Count> counts_;
};

std::vector<Vocabulary::Entry> FixedEntries(const TableDescription& description) {
  std::vector<Vocabulary::Entry> entries;
  for (const char* token :
       {"[PAD]", "[CLS]", "[SEP]", "[MASK]", "[PLCH0]", "[PLCH1]", "[PLCH2]", "[PLCH3]", "[PLCH4]", "[UNK]"}) {
    entries.push_back({token, "GENERAL"});
  }
  for (const std::string& token : description.background_tokens) entries.push_back({token, "BACKGROUND"});
  for (int month = 1; month <= 12; ++month) entries.push_back({"MONTH_" + std::to_string(month), "MONTH"});
  for (int32_t year = description.first_birth_year; year <= description.last_birth_year; ++year) {
    entries.push_back({"YEAR_" + std::to_string(year), "YEAR"});
  }
  return entries;
}

}  // namespace

struct TokenizerFit::Impl {
  Tokenizer tokenizer;
  std::string scratch;
  int64_t memory_bytes;
  // Records (binned field, number): sorted, the numbers of a field stand together in ascending order.
  std::unique_ptr<RecordSorter> numbers;
  std::vector<std::pair<std::string, int32_t>> binned;  // key and bin count of each binned field
  std::vector<std::vector<int32_t>> binned_index;       // by table and field; -1: a code
  std::vector<std::vector<TokenCount>> counts;          // by table and field

  void ListFields() {
    for (const EventTable& table : tokenizer.description.tables) {
      std::vector<int32_t>& indices = binned_index.emplace_back();
      counts.emplace_back(table.fields.size());
      for (const EventField& field : table.fields) {
        indices.push_back(field.bin_count == 0 ? -1 : static_cast<int32_t>(binned.size()));
        if (field.bin_count > 0) binned.emplace_back(BinKey(table, field), field.bin_count);
      }
    }
  }

  // The sorted numbers of all fields become one flat file, of which each field's edges need a few elements.
  void FitEdges() {
    const std::vector<SortedRun> runs = numbers->Finish();
    numbers.reset();
    std::vector<size_t> counts_of(binned.size(), 0);
    std::shared_ptr<const MappedFile> flat;
    if (!runs.empty()) {
      const std::string path = scratch + "/numbers.f64";
      OutputFile file(path);
      SortedRecords sorted(scratch, runs, memory_bytes);
      std::string_view record;
      while (sorted.Next(&record)) {
        RecordParser parser(record);
        ++counts_of[parser.Number(2)];
        const double number = parser.Double();
        file.Append({reinterpret_cast<const char*>(&number), sizeof(number)});
      }
      file.Finish();
      flat = MappedFile::Open(path);
    }
    const double* next = flat == nullptr ? nullptr : reinterpret_cast<const double*>(flat->data());
    for (size_t i = 0; i < binned.size(); ++i) {
      tokenizer.bin_edges[binned[i].first] = FitBinEdges({next, counts_of[i]}, binned[i].second);
      if (counts_of[i] > 0) next += counts_of[i];
    }
  }
};

TokenizerFit::TokenizerFit(TableDescription description, const RawEncodeOptions& options, std::string scratch,
                           int64_t memory_bytes)
    : impl_(std::make_unique<Impl>()) {
  CheckTableDescription(description);
  impl_->tokenizer.description = std::move(description);
  impl_->tokenizer.options = options;
  impl_->scratch = std::move(scratch);
  impl_->memory_bytes = memory_bytes;
  impl_->numbers = std::make_unique<RecordSorter>(impl_->scratch, memory_bytes);
  impl_->ListFields();
}

TokenizerFit::~TokenizerFit() = default;

void TokenizerFit::AddNumbers(const RawPerson& person) {
  TORCH_CHECK(impl_->numbers != nullptr, "numbers are added before tokens");
  const Tokenizer& tokenizer = impl_->tokenizer;
  std::string record;
  for (const RawEvent& event : person.events) {
    CheckEvent(tokenizer.description, person, event);
    const EventTable& table = tokenizer.description.tables[event.table];
    for (size_t f = 0; f < table.fields.size(); ++f) {
      const int32_t index = impl_->binned_index[event.table][f];
      if (index < 0) continue;
      const std::optional<double> number =
          FieldNumber(person, table.fields[f], event.fields[f], tokenizer.options.faithful);
      if (!number) continue;
      record.clear();
      AppendNumber(static_cast<uint64_t>(index), 2, &record);
      AppendDouble(*number, &record);
      impl_->numbers->Add(record);
    }
  }
}

void TokenizerFit::AddTokens(const RawPerson& person) {
  if (impl_->numbers != nullptr) impl_->FitEdges();
  for (const RawEvent& event : person.events) {
    CheckEvent(impl_->tokenizer.description, person, event);
    for (size_t f = 0; f < event.fields.size(); ++f) {
      const std::string token = FieldToken(impl_->tokenizer, person, event, f);
      if (token.empty()) continue;
      TokenCount& count = impl_->counts[event.table][f];
      count.Add(token, person.person_id);
      if (count.size() <= kMostDistinctValues) continue;
      const EventTable& table = impl_->tokenizer.description.tables[event.table];
      ThrowTableFault(BinKey(table, table.fields[f]), " has more than ", kMostDistinctValues,
                      " distinct values, expected codes; cut them (max_characters) or bin them (bin_count)");
    }
  }
}

Tokenizer TokenizerFit::Finish() {
  if (impl_->numbers != nullptr) impl_->FitEdges();
  const TableDescription& description = impl_->tokenizer.description;
  std::vector<Vocabulary::Entry> entries = FixedEntries(description);
  for (size_t t = 0; t < description.tables.size(); ++t) {
    for (size_t f = 0; f < description.tables[t].fields.size(); ++f) {
      const EventField& field = description.tables[t].fields[f];
      const int32_t min_persons = field.min_persons > 0 ? field.min_persons : description.min_persons;
      for (std::string& token : impl_->counts[t][f].Frequent(min_persons)) {
        entries.push_back({std::move(token), field.category});
      }
    }
  }
  impl_->tokenizer.vocabulary = Vocabulary::FromEntries(std::move(entries));
  return std::move(impl_->tokenizer);
}

}  // namespace lifescope
