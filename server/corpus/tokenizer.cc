#include <c10/util/Exception.h>

#include <algorithm>
#include <cctype>
#include <optional>
#include <string_view>
#include <tuple>
#include <unordered_map>
#include <utility>

#include "server/corpus/raw_life.h"
#include "server/corpus/table_number.h"

namespace lifescope {
namespace {

std::string BinKey(const RawSource& source, const RawField& field) { return source.name + "." + field.name; }

double ParseNumber(const RawPerson& person, const RawField& field, const std::string& text, bool faithful) {
  const std::optional<double> number = ParseTableNumber(text, faithful);
  TORCH_CHECK_VALUE(number.has_value(), "person ", person.person_id, ": ", field.name, " is '", text,
                    "', expected a number");
  return *number;
}

// The token of a binned value: the number of edges at or below it, cut to the last bin; none below the first edge.
std::string BinToken(const RawField& field, const std::vector<double>& edges, double value) {
  const auto above = std::upper_bound(edges.begin(), edges.end(), value) - edges.begin();
  const auto bin = std::min<std::ptrdiff_t>(above, static_cast<std::ptrdiff_t>(edges.size()) - 1);
  return bin <= 0 ? "" : field.prefix + "_" + std::to_string(bin);
}

// The vocabulary's name of one field of an event; empty when the event says nothing there.
std::string FieldToken(const Tokenizer& tokenizer, const RawPerson& person, const RawEvent& event, size_t index) {
  const RawSource& source = tokenizer.schema.sources[event.source];
  const RawField& field = source.fields[index];
  const std::string& text = event.fields[index];
  if (text.empty()) return "";
  if (field.binned) {
    return BinToken(field, tokenizer.bin_edges.at(BinKey(source, field)),
                    ParseNumber(person, field, text, tokenizer.options.faithful));
  }
  std::string token = field.prefix + "_" + text;
  if (!tokenizer.options.faithful) std::replace(token.begin(), token.end(), ' ', '_');
  return token;
}

void CheckEvent(const RawSchema& schema, const RawPerson& person, const RawEvent& event) {
  TORCH_CHECK_VALUE(event.source >= 0 && event.source < static_cast<int64_t>(schema.sources.size()), "person ",
                    person.person_id, ": event of source ", event.source, ", expected 0 to ",
                    static_cast<int64_t>(schema.sources.size()) - 1);
  const RawSource& source = schema.sources[event.source];
  TORCH_CHECK_VALUE(event.fields.size() == source.fields.size(), "person ", person.person_id, ": ", event.fields.size(),
                    " fields in an event of ", source.name, ", expected ", source.fields.size());
}

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

// Tokens that at least `min_persons` persons have, in vocabulary order.
class TokenCount {
 public:
  void Add(const std::string& token, size_t person) {
    Count& count = counts_[token];
    if (count.persons > 0 && count.last_person == person) return;
    count.persons += 1;
    count.last_person = person;
  }

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
    size_t last_person = 0;
  };
  std::unordered_map<std::string, Count> counts_;
};

std::map<std::string, std::vector<double>> FitAllEdges(const RawSchema& schema, bool faithful,
                                                       const std::vector<RawPerson>& persons,
                                                       const std::vector<Split>& splits) {
  std::map<std::string, std::vector<double>> values;
  for (const RawSource& source : schema.sources) {
    for (const RawField& field : source.fields) {
      if (field.binned) values[BinKey(source, field)];
    }
  }
  for (size_t i = 0; i < persons.size(); ++i) {
    for (const RawEvent& event : persons[i].events) {
      CheckEvent(schema, persons[i], event);
      const RawSource& source = schema.sources[event.source];
      for (size_t f = 0; f < source.fields.size(); ++f) {
        const RawField& field = source.fields[f];
        if (splits[i] != Split::kTrain || !field.binned || event.fields[f].empty()) continue;
        values[BinKey(source, field)].push_back(ParseNumber(persons[i], field, event.fields[f], faithful));
      }
    }
  }
  for (auto& [key, fitted] : values) fitted = FitBinEdges(std::move(fitted), schema.bin_count);
  return values;
}

std::vector<Vocabulary::Entry> FixedEntries(const RawSchema& schema) {
  std::vector<Vocabulary::Entry> entries;
  for (const char* token :
       {"[PAD]", "[CLS]", "[SEP]", "[MASK]", "[PLCH0]", "[PLCH1]", "[PLCH2]", "[PLCH3]", "[PLCH4]", "[UNK]"}) {
    entries.push_back({token, "GENERAL"});
  }
  for (const char* token : {"FEMALE", "MALE"}) entries.push_back({token, "BACKGROUND"});
  for (int month = 1; month <= 12; ++month) entries.push_back({"MONTH_" + std::to_string(month), "MONTH"});
  for (int32_t year = schema.first_birth_year; year <= schema.last_birth_year; ++year) {
    entries.push_back({"YEAR_" + std::to_string(year), "YEAR"});
  }
  return entries;
}

std::vector<std::string> BackgroundNames(const RawPerson& person, bool faithful) {
  const std::string month = std::to_string(person.birthday.month), year = std::to_string(person.birthday.year);
  if (faithful) return {person.sex, month, year};
  std::string sex = person.sex;
  std::transform(sex.begin(), sex.end(), sex.begin(), [](unsigned char c) { return std::toupper(c); });
  return {sex, "MONTH_" + month, "YEAR_" + year};
}

void AddToken(const Vocabulary& vocabulary, std::string_view token, std::vector<int32_t>* ids) {
  ids->push_back(vocabulary.Find(token).value_or(kUnk));
}

// The published code joins the tokens of an event with spaces and splits the text again.
void AddWords(const Vocabulary& vocabulary, std::string_view text, std::vector<int32_t>* ids) {
  for (size_t space = text.find(' '); space != std::string_view::npos; space = text.find(' ')) {
    AddToken(vocabulary, text.substr(0, space), ids);
    text.remove_prefix(space + 1);
  }
  AddToken(vocabulary, text, ids);
}

}  // namespace

Tokenizer Tokenizer::Fit(const RawSchema& schema, const RawEncodeOptions& options,
                         const std::vector<RawPerson>& persons, const std::vector<Split>& splits) {
  TORCH_CHECK_VALUE(persons.size() == splits.size(), persons.size(), " persons and ", splits.size(),
                    " splits, expected as many");
  Tokenizer tokenizer{schema, options, {}, FitAllEdges(schema, options.faithful, persons, splits)};
  std::vector<std::vector<TokenCount>> counts;
  for (const RawSource& source : schema.sources) counts.emplace_back(source.fields.size());
  for (size_t i = 0; i < persons.size(); ++i) {
    if (splits[i] != Split::kTrain) continue;
    for (const RawEvent& event : persons[i].events) {
      for (size_t f = 0; f < event.fields.size(); ++f) {
        const std::string token = FieldToken(tokenizer, persons[i], event, f);
        if (!token.empty()) counts[event.source][f].Add(token, i);
      }
    }
  }
  std::vector<Vocabulary::Entry> entries = FixedEntries(schema);
  for (size_t s = 0; s < schema.sources.size(); ++s) {
    for (size_t f = 0; f < schema.sources[s].fields.size(); ++f) {
      for (std::string& token : counts[s][f].Frequent(schema.min_persons)) {
        entries.push_back({std::move(token), schema.sources[s].fields[f].category});
      }
    }
  }
  tokenizer.vocabulary = Vocabulary::FromEntries(std::move(entries));
  return tokenizer;
}

EncodedLife Tokenizer::Encode(const RawPerson& person) const {
  std::vector<const RawEvent*> order;
  const int64_t threshold = schema.threshold.DayNumber();
  for (const RawEvent& event : person.events) {
    CheckEvent(schema, person, event);
    if (event.date.DayNumber() < threshold) order.push_back(&event);
  }
  std::stable_sort(order.begin(), order.end(),
                   [](const RawEvent* a, const RawEvent* b) { return a->date.DayNumber() < b->date.DayNumber(); });

  std::vector<int32_t> background;
  for (const std::string& name : BackgroundNames(person, options.faithful)) AddToken(vocabulary, name, &background);
  std::vector<Event> events;
  const int64_t reference = schema.reference_date.DayNumber();
  for (const RawEvent* raw : order) {
    Event event;
    event.abspos = static_cast<int32_t>(raw->date.DayNumber() - reference + 1);
    event.age = raw->date.year - person.birthday.year;
    for (size_t f = 0; f < raw->fields.size(); ++f) {
      const std::string token = FieldToken(*this, person, *raw, f);
      if (!token.empty()) AddWords(vocabulary, token, &event.tokens);
    }
    events.push_back(std::move(event));
  }
  return EncodeLife(person.person_id, background, events, options.max_length);
}

}  // namespace lifescope
