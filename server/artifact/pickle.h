// Reads a Python pickle as data.
//
// A pickle is a program for a stack machine that may import and call anything. This reader runs the part of it that
// builds values (protocols 2 to 5, as torch.save and Lightning write them) and imports and calls nothing: a class or a
// function stays a name, a call stays a record of that name and its arguments. The one exception is
// `collections.OrderedDict()`, which is an empty dict.
//
// Values lie flat in one table and refer to each other by number, as the pickle's memo does. So a value that is shared
// a million times costs one, a list may hold itself, and neither reading nor destruction recurses. Whoever walks the
// values must bear in mind that they are a graph, not a tree.
//
// Standard library only. Everything throws std::invalid_argument: what was found, at which byte, what was expected.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace lifescope {

// What a pickle may cost; far above what the checkpoint of a large model needs.
struct PickleLimits {
  size_t bytes = size_t{64} << 20;
  size_t values = size_t{1} << 20;  // and the height of the stack, the entries of the memo, the keyword arguments
};

struct PickleTable;

// One value: a view into a Pickle, which must outlive it. Cheap to copy, immutable and thread-safe.
class PickleValue {
 public:
  enum class Kind {
    kNone,
    kBool,
    kInt,     // fits 64 bits
    kBigInt,  // does not
    kFloat,
    kString,  // usually UTF-8, which is not checked
    kBytes,
    kList,
    kTuple,
    kSet,
    kDict,
    kGlobal,        // the name of a class or a function
    kRecord,        // what a call of one would make; it is not called
    kPersistentId,  // a thing that is kept outside the pickle under an id
  };

  PickleValue(const PickleTable& table, uint32_t index) : table_(&table), index_(index) {}

  Kind kind() const;
  bool Is(Kind kind) const { return this->kind() == kind; }

  // Each throws when the value is of another kind than those named.
  bool AsBool() const;
  int64_t AsInt() const;
  double AsFloat() const;                  // kFloat, kInt
  std::string_view AsText() const;         // kString, kBytes
  std::vector<PickleValue> Items() const;  // kList, kTuple, kSet
  size_t ItemCount() const;                // kList, kTuple, kSet; at no cost, unlike Items
  PickleValue Arguments() const;           // kRecord: a tuple
  PickleValue Id() const;                  // kPersistentId

  // Of a kGlobal "torch.FloatStorage"; of a kRecord the name of what was called; "" when there is none.
  std::string GlobalName() const;
  bool IsGlobal(std::string_view name) const { return Is(Kind::kGlobal) && HasGlobalName(name); }
  bool IsRecordOf(std::string_view name) const { return Is(Kind::kRecord) && HasGlobalName(name); }
  // Of a kDict, or what a kRecord was given as a subclass of dict; empty for everything else.
  std::vector<std::pair<PickleValue, PickleValue>> Entries() const;
  // The entry under that string. Throws when there are two.
  std::optional<PickleValue> Find(std::string_view key) const;
  // The attributes that a kRecord or a kDict was given, if it was.
  std::optional<PickleValue> State() const;

  // For messages: short, printable, with its place: "a list at byte 17".
  std::string Describe() const;

 private:
  void Expect(bool is_right, const char* expected) const;
  bool HasGlobalName(std::string_view name) const;
  std::vector<PickleValue> Children(size_t first) const;

  const PickleTable* table_;
  uint32_t index_;
};

// The values of one pickle. Immutable and thread-safe.
class Pickle {
 public:
  // The pickle must end with the last of the bytes.
  static Pickle Parse(std::string bytes, const PickleLimits& limits = {});

  PickleValue root() const;

 private:
  std::shared_ptr<const PickleTable> table_;
};

// Text of a file for a message: quoted, printable, at most 100 bytes of it.
std::string Quoted(std::string_view text);

}  // namespace lifescope
