// The tokens of a corpus and of the model trained on it (vocab.tsv: ID, TOKEN, CATEGORY).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace lifescope {

// Ids that life2vec fixes.
inline constexpr int32_t kPad = 0, kCls = 1, kSep = 2, kMask = 3, kUnk = 9;
inline constexpr int32_t kFirstContentToken = 10;

// Immutable and thread-safe.
class Vocabulary {
 public:
  struct Entry {
    std::string token;
    std::string category;
  };

  // Throws c10::ValueError naming file, line, found and expected: header, ids not 0, 1, 2..., duplicate tokens,
  // special tokens not in their places.
  static Vocabulary Load(const std::string& path);
  static Vocabulary FromEntries(std::vector<Entry> entries);

  int32_t size() const { return static_cast<int32_t>(entries_.size()); }
  const std::string& token(int32_t id) const { return entries_[id].token; }
  const std::string& category(int32_t id) const { return entries_[id].category; }
  std::optional<int32_t> Find(std::string_view token) const;
  // As vocab.tsv.
  std::string ToTsv() const;

 private:
  std::vector<Entry> entries_;
  std::unordered_map<std::string, int32_t> ids_;
};

}  // namespace lifescope
