#include <bit>
#include <stdexcept>

#include "server/artifact/pickle.h"
#include "server/artifact/pickle_table.h"

namespace lifescope {
namespace {

using Kind = PickleValue::Kind;

constexpr size_t kFirstEntryOfRecord = 2;

bool IsPrintable(char c) { return c >= ' ' && c <= '~'; }

std::string_view TextOf(const PickleTable& table, const PickleTable::Value& value) {
  return std::string_view(table.bytes).substr(value.bits, value.length);
}

}  // namespace

std::string Quoted(std::string_view text) {
  constexpr size_t kLongest = 100;
  std::string quoted = "'";
  for (const char c : text.substr(0, kLongest)) quoted += IsPrintable(c) ? c : '?';
  return quoted + (text.size() > kLongest ? "...'" : "'");
}

PickleValue Pickle::root() const { return {*table_, table_->root}; }

Kind PickleValue::kind() const { return table_->values[index_].kind; }

void PickleValue::Expect(bool is_right, const char* expected) const {
  if (!is_right) throw std::invalid_argument("found " + Describe() + ", expected " + expected);
}

bool PickleValue::AsBool() const {
  Expect(Is(Kind::kBool), "True or False");
  return table_->values[index_].bits != 0;
}

int64_t PickleValue::AsInt() const {
  Expect(Is(Kind::kInt), "an integer of 64 bits");
  return static_cast<int64_t>(table_->values[index_].bits);
}

double PickleValue::AsFloat() const {
  Expect(Is(Kind::kFloat) || Is(Kind::kInt), "a number");
  return Is(Kind::kInt) ? static_cast<double>(AsInt()) : std::bit_cast<double>(table_->values[index_].bits);
}

std::string_view PickleValue::AsText() const {
  Expect(Is(Kind::kString) || Is(Kind::kBytes), "a string");
  return TextOf(*table_, table_->values[index_]);
}

std::vector<PickleValue> PickleValue::Children(size_t first) const {
  const std::vector<uint32_t>& children = table_->values[index_].children;
  std::vector<PickleValue> values;
  values.reserve(children.size());
  for (size_t i = first; i < children.size(); ++i) values.emplace_back(*table_, children[i]);
  return values;
}

std::vector<PickleValue> PickleValue::Items() const {
  Expect(Is(Kind::kList) || Is(Kind::kTuple) || Is(Kind::kSet), "a list, a tuple or a set");
  return Children(0);
}

size_t PickleValue::ItemCount() const {
  Expect(Is(Kind::kList) || Is(Kind::kTuple) || Is(Kind::kSet), "a list, a tuple or a set");
  return table_->values[index_].children.size();
}

PickleValue PickleValue::Arguments() const {
  Expect(Is(Kind::kRecord), "a record");
  return {*table_, table_->values[index_].children[1]};
}

PickleValue PickleValue::Id() const {
  Expect(Is(Kind::kPersistentId), "a persistent id");
  return {*table_, table_->values[index_].children[0]};
}

std::string PickleValue::GlobalName() const {
  const std::vector<uint32_t>& children = table_->values[index_].children;
  if (Is(Kind::kRecord)) {
    const PickleValue callee(*table_, children[0]);
    return callee.Is(Kind::kGlobal) ? callee.GlobalName() : "";
  }
  if (!Is(Kind::kGlobal)) return "";
  const PickleValue module(*table_, children[0]), name(*table_, children[1]);
  return std::string(module.AsText()) + "." + std::string(name.AsText());
}

// Sizes first: a hostile name may have megabytes, and be asked about for every value.
bool PickleValue::HasGlobalName(std::string_view name) const {
  const std::vector<uint32_t>& children = table_->values[index_].children;
  if (Is(Kind::kRecord)) return PickleValue(*table_, children[0]).IsGlobal(name);
  const size_t size =
      PickleValue(*table_, children[0]).AsText().size() + 1 + PickleValue(*table_, children[1]).AsText().size();
  return size == name.size() && GlobalName() == name;
}

std::vector<std::pair<PickleValue, PickleValue>> PickleValue::Entries() const {
  std::vector<std::pair<PickleValue, PickleValue>> entries;
  if (!Is(Kind::kDict) && !Is(Kind::kRecord)) return entries;
  const std::vector<PickleValue> flat = Children(Is(Kind::kRecord) ? kFirstEntryOfRecord : 0);
  entries.reserve(flat.size() / 2);
  for (size_t i = 0; i + 1 < flat.size(); i += 2) entries.emplace_back(flat[i], flat[i + 1]);
  return entries;
}

std::optional<PickleValue> PickleValue::Find(std::string_view key) const {
  std::optional<PickleValue> found;
  for (const auto& [name, value] : Entries()) {
    if (!name.Is(Kind::kString) || name.AsText() != key) continue;
    if (found) throw std::invalid_argument("found " + Describe() + " with two entries " + Quoted(key));
    found = value;
  }
  return found;
}

std::optional<PickleValue> PickleValue::State() const {
  const uint32_t state = table_->values[index_].state;
  if (state == PickleTable::kNone) return std::nullopt;
  return PickleValue(*table_, state);
}

std::string PickleValue::Describe() const {
  const PickleTable::Value& value = table_->values[index_];
  const std::string count = std::to_string(value.children.size());
  const std::string at = " at byte " + std::to_string(value.offset);
  switch (value.kind) {
    case Kind::kNone:
      return "None" + at;
    case Kind::kBool:
      return (AsBool() ? "True" : "False") + at;
    case Kind::kInt:
      return std::to_string(AsInt()) + at;
    case Kind::kBigInt:
      return "an integer of " + std::to_string(value.length) + " bytes" + at;
    case Kind::kFloat:
      return std::to_string(AsFloat()) + at;
    case Kind::kString:
      return Quoted(AsText()) + at;
    case Kind::kBytes:
      return std::to_string(value.length) + " bytes" + at;
    case Kind::kList:
      return "a list of " + count + at;
    case Kind::kTuple:
      return "a tuple of " + count + at;
    case Kind::kSet:
      return "a set of " + count + at;
    case Kind::kDict:
      return "a dict of " + std::to_string(value.children.size() / 2) + at;
    case Kind::kGlobal:
      return "the global " + Quoted(GlobalName()) + at;
    case Kind::kRecord:
      return "a record of " + Quoted(GlobalName()) + at;
    case Kind::kPersistentId:
      return "a persistent id" + at;
  }
  return "nothing" + at;
}

}  // namespace lifescope
