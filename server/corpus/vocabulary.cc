#include "server/corpus/vocabulary.h"

#include <c10/util/Exception.h>

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

#include "server/artifact/artifact.h"

namespace lifescope {
namespace {

constexpr std::array<const char*, kFirstContentToken> kSpecialTokens = {
    "[PAD]", "[CLS]", "[SEP]", "[MASK]", "[PLCH0]", "[PLCH1]", "[PLCH2]", "[PLCH3]", "[PLCH4]", "[UNK]"};

std::vector<std::string> SplitAtTabs(std::string_view line) {
  std::vector<std::string> cells(1);
  for (const char c : line) {
    if (c == '\t') {
      cells.emplace_back();
    } else {
      cells.back() += c;
    }
  }
  return cells;
}

// The next line of `text` from `offset`, without its end; moves `offset` behind it.
std::string_view NextLine(std::string_view text, size_t* offset) {
  const size_t end = std::min(text.find('\n', *offset), text.size());
  std::string_view line = text.substr(*offset, end - *offset);
  *offset = end + 1;
  if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
  return line;
}

// life2vec writes ID, TOKEN, CATEGORY; its model folders have a row number in an unnamed column before them.
size_t FirstColumn(const std::string& path, std::string_view header) {
  if (header == "ID\tTOKEN\tCATEGORY") return 0;
  TORCH_CHECK_VALUE(header == "\tID\tTOKEN\tCATEGORY", path, ":1: the header is '", header.substr(0, 80),
                    "', expected ID, TOKEN, CATEGORY separated by tabs");
  return 1;
}

// Why the entry cannot stand at `id`, or nothing.
std::string Fault(const Vocabulary::Entry& entry, size_t id) {
  if (entry.token.empty()) return "an empty token";
  if (id < kSpecialTokens.size() && entry.token != kSpecialTokens[id]) {
    return "token " + std::to_string(id) + " is '" + entry.token + "', expected '" + kSpecialTokens[id] + "'";
  }
  if ((entry.token + entry.category).find_first_of("\t\r\n") != std::string::npos) {
    return "token " + std::to_string(id) + " has a tab or a line break";
  }
  return "";
}

}  // namespace

Vocabulary Vocabulary::Load(const std::string& path) {
  const std::string text = ReadFile(path);
  size_t offset = 0;
  const size_t first = FirstColumn(path, NextLine(text, &offset));
  std::vector<Entry> entries;
  std::unordered_map<std::string, size_t> line_of_token;
  for (size_t line = 2; offset < text.size(); ++line) {
    std::vector<std::string> cells = SplitAtTabs(NextLine(text, &offset));
    TORCH_CHECK_VALUE(cells.size() == first + 3, path, ":", line, ": ", cells.size(), " columns, expected ", first + 3);
    TORCH_CHECK_VALUE(cells[first] == std::to_string(entries.size()), path, ":", line, ": the id is '", cells[first],
                      "', expected ", entries.size());
    entries.push_back({std::move(cells[first + 1]), std::move(cells[first + 2])});
    const std::string fault = Fault(entries.back(), entries.size() - 1);
    TORCH_CHECK_VALUE(fault.empty(), path, ":", line, ": ", fault);
    const auto [seen, added] = line_of_token.emplace(entries.back().token, line);
    TORCH_CHECK_VALUE(added, path, ":", line, ": token '", seen->first, "' is already on line ", seen->second);
  }
  TORCH_CHECK_VALUE(entries.size() >= kSpecialTokens.size(), path, ": ", entries.size(), " tokens, expected at least ",
                    kSpecialTokens.size());
  return FromEntries(std::move(entries));
}

Vocabulary Vocabulary::FromEntries(std::vector<Entry> entries) {
  TORCH_CHECK_VALUE(entries.size() >= kSpecialTokens.size(), "vocabulary: ", entries.size(),
                    " tokens, expected at least ", kSpecialTokens.size());
  Vocabulary vocabulary;
  vocabulary.entries_ = std::move(entries);
  for (size_t id = 0; id < vocabulary.entries_.size(); ++id) {
    const Entry& entry = vocabulary.entries_[id];
    const std::string fault = Fault(entry, id);
    TORCH_CHECK_VALUE(fault.empty(), "vocabulary: ", fault);
    const bool added = vocabulary.ids_.emplace(entry.token, static_cast<int32_t>(id)).second;
    TORCH_CHECK_VALUE(added, "vocabulary: token '", entry.token, "' appears twice");
  }
  return vocabulary;
}

std::optional<int32_t> Vocabulary::Find(std::string_view token) const {
  const auto found = ids_.find(std::string(token));
  if (found == ids_.end()) return std::nullopt;
  return found->second;
}

std::string Vocabulary::ToTsv() const {
  std::string text = "ID\tTOKEN\tCATEGORY\n";
  for (size_t id = 0; id < entries_.size(); ++id) {
    text += std::to_string(id) + "\t" + entries_[id].token + "\t" + entries_[id].category + "\n";
  }
  return text;
}

}  // namespace lifescope
