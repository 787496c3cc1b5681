#include "server/artifact/pickle_machine.h"

#include <stdexcept>
#include <utility>

namespace lifescope {
namespace {

using Kind = PickleValue::Kind;

constexpr uint64_t kNewestProtocol = 5;

}  // namespace

void PickleMachine::Fail(const std::string& what) const {
  throw std::invalid_argument(std::string("pickle: ") + opcode_name_ + " at byte " + std::to_string(opcode_offset_) +
                              ": " + what);
}

void PickleMachine::Expect(bool is_right, uint32_t found, const char* expected) const {
  if (!is_right) Fail("found " + Describe(found) + ", expected " + expected);
}

// Input ---------------------------------------------------------------------------------------------------------------

PickleMachine::Slice PickleMachine::Bytes(uint64_t length) {
  const uint64_t left = bytes_.size() - position_;
  if (length > left)
    Fail("truncated: it needs " + std::to_string(length) + " bytes, " + std::to_string(left) + " are left");
  const Slice slice{position_, length};
  position_ += length;
  return slice;
}

uint64_t PickleMachine::Number(int size) {
  const Slice slice = Bytes(static_cast<uint64_t>(size));
  uint64_t number = 0;
  for (int i = 0; i < size; ++i) number |= uint64_t{static_cast<uint8_t>(bytes_[slice.begin + i])} << (8 * i);
  return number;
}

PickleMachine::Slice PickleMachine::Line() {
  const size_t end = bytes_.find('\n', position_);
  if (end == std::string::npos) Fail("truncated: a name without a line end");
  const Slice line = Bytes(end - position_);
  Bytes(1);
  return line;
}

// Stack and memo ------------------------------------------------------------------------------------------------------

uint32_t PickleMachine::Make(Kind kind) {
  if (table_.values.size() == limits_.values) Fail("over " + std::to_string(limits_.values) + " values");
  table_.values.push_back({kind, static_cast<uint32_t>(opcode_offset_)});
  return static_cast<uint32_t>(table_.values.size() - 1);
}

uint32_t PickleMachine::MakeText(Slice text) {
  const uint32_t index = Make(Kind::kString);
  value(index).bits = text.begin;
  value(index).length = static_cast<uint32_t>(text.length);
  return index;
}

void PickleMachine::PushIndex(uint32_t index) { stack_.push_back(index); }

uint32_t PickleMachine::Push(Kind kind) {
  const uint32_t index = Make(kind);
  PushIndex(index);
  return index;
}

// Values below the last mark belong to an unfinished list, tuple or dict.
std::vector<uint32_t> PickleMachine::Take(size_t count) {
  const size_t floor = marks_.empty() ? 0 : marks_.back();
  if (stack_.size() - floor < count) {
    Fail("it takes " + std::to_string(count) + " values, the stack has " + std::to_string(stack_.size() - floor));
  }
  const auto first = stack_.end() - static_cast<ptrdiff_t>(count);
  std::vector<uint32_t> taken(first, stack_.end());
  stack_.erase(first, stack_.end());
  return taken;
}

std::vector<uint32_t> PickleMachine::TakeFromMark() {
  if (marks_.empty()) Fail("no MARK before it");
  std::vector<uint32_t> taken = Take(stack_.size() - marks_.back());
  marks_.pop_back();
  return taken;
}

uint32_t PickleMachine::Top() const {
  const size_t floor = marks_.empty() ? 0 : marks_.back();
  if (stack_.size() == floor) Fail("the stack has no value for it");
  return stack_.back();
}

void PickleMachine::PopOne() {
  if (!marks_.empty() && marks_.back() == stack_.size()) {
    marks_.pop_back();
  } else {
    Take(1);
  }
}

void PickleMachine::Memoize(uint64_t key) {
  memo_[key] = Top();
  if (memo_.size() > limits_.values) Fail("the memo holds over " + std::to_string(limits_.values) + " values");
}

void PickleMachine::Recall(uint64_t key) {
  const auto found = memo_.find(key);
  if (found == memo_.end()) Fail("the memo has no entry " + std::to_string(key));
  PushIndex(found->second);
}

// Values --------------------------------------------------------------------------------------------------------------

void PickleMachine::Protocol() {
  const uint64_t protocol = Number(1);
  if (protocol > kNewestProtocol) {
    Fail("protocol " + std::to_string(protocol) + ", expected at most " + std::to_string(kNewestProtocol));
  }
}

void PickleMachine::Frame() {
  const uint64_t length = Number(8), left = bytes_.size() - position_;
  if (length > left)
    Fail("truncated: a frame of " + std::to_string(length) + " bytes, " + std::to_string(left) + " are left");
}

void PickleMachine::PushText(Kind kind, int length_bytes) {
  const Slice text = Bytes(Number(length_bytes));
  const uint32_t index = MakeText(text);
  value(index).kind = kind;
  PushIndex(index);
}

// Little-endian two's complement of any length.
void PickleMachine::PushInteger(int length_bytes) {
  const Slice digits = Bytes(Number(length_bytes));
  const uint32_t index = MakeText(digits);
  PushIndex(index);
  if (digits.length > sizeof(uint64_t)) {
    value(index).kind = Kind::kBigInt;
    return;
  }
  const bool negative = digits.length > 0 && (static_cast<uint8_t>(bytes_[position_ - 1]) & 0x80) != 0;
  uint64_t bits = negative ? ~uint64_t{0} : 0;
  for (uint64_t i = digits.length; i-- > 0;) bits = bits << 8 | static_cast<uint8_t>(bytes_[digits.begin + i]);
  value(index) = {Kind::kInt, static_cast<uint32_t>(opcode_offset_), bits};
}

void PickleMachine::PushDouble() {
  const Slice bytes = Bytes(sizeof(uint64_t));
  uint64_t bits = 0;
  for (uint64_t i = 0; i < bytes.length; ++i) bits = bits << 8 | static_cast<uint8_t>(bytes_[bytes.begin + i]);
  PushBits(Kind::kFloat, bits);
}

void PickleMachine::PushTupleOf(size_t count) {
  std::vector<uint32_t> items = Take(count);
  value(Push(Kind::kTuple)).children = std::move(items);
}

void PickleMachine::PushFromMark(Kind kind) {
  std::vector<uint32_t> items = TakeFromMark();
  value(Push(kind)).children = std::move(items);
}

void PickleMachine::PushGlobalOfLines() {
  const uint32_t module = MakeText(Line()), name = MakeText(Line());
  value(Push(Kind::kGlobal)).children = {module, name};
}

void PickleMachine::PushGlobalOfStack() {
  std::vector<uint32_t> names = Take(2);
  for (const uint32_t name : names) Expect(value(name).kind == Kind::kString, name, "the name of a module or a class");
  value(Push(Kind::kGlobal)).children = std::move(names);
}

bool PickleMachine::IsEmptyOrderedDict(uint32_t callee, uint32_t arguments) const {
  return table_.values[arguments].children.empty() && PickleValue(table_, callee).IsGlobal("collections.OrderedDict");
}

void PickleMachine::PushCall(bool has_keywords) {
  std::vector<uint32_t> keywords;
  if (has_keywords) {
    const uint32_t dict = Take(1)[0];
    Expect(value(dict).kind == Kind::kDict, dict, "a dict of keyword arguments");
    // A record has entries of its own, so a dict that many calls share is copied as often: the copies count.
    keyword_count_ += value(dict).children.size();
    if (keyword_count_ > limits_.values) Fail("over " + std::to_string(limits_.values) + " keywords and their values");
    keywords = value(dict).children;
  }
  std::vector<uint32_t> call = Take(2);
  Expect(value(call[1]).kind == Kind::kTuple, call[1], "a tuple of arguments");
  if (IsEmptyOrderedDict(call[0], call[1])) {
    Push(Kind::kDict);
    return;
  }
  call.insert(call.end(), keywords.begin(), keywords.end());
  value(Push(Kind::kRecord)).children = std::move(call);
}

void PickleMachine::PushPersistentId() {
  std::vector<uint32_t> id = Take(1);
  value(Push(Kind::kPersistentId)).children = std::move(id);
}

void PickleMachine::Append(const std::vector<uint32_t>& items) {
  const uint32_t target = Top();
  const Kind kind = value(target).kind;
  Expect(kind == Kind::kList || kind == Kind::kSet || kind == Kind::kRecord, target, "a list or a set to add to");
  // What a class that is not made here does with elements is not known: they are dropped.
  if (kind == Kind::kRecord) return;
  std::vector<uint32_t>& children = value(target).children;
  children.insert(children.end(), items.begin(), items.end());
}

void PickleMachine::SetEntries(const std::vector<uint32_t>& entries) {
  const uint32_t target = Top();
  const Kind kind = value(target).kind;
  Expect(kind == Kind::kDict || kind == Kind::kRecord, target, "a dict to set entries of");
  if (entries.size() % 2 != 0) Fail("found " + std::to_string(entries.size()) + " values, expected keys and values");
  std::vector<uint32_t>& children = value(target).children;
  children.insert(children.end(), entries.begin(), entries.end());
}

void PickleMachine::SetState() {
  const uint32_t state = Take(1)[0], target = Top();
  const Kind kind = value(target).kind;
  Expect(kind == Kind::kRecord || kind == Kind::kDict, target, "a record or an OrderedDict to give attributes to");
  if (value(target).state != PickleTable::kNone)
    Fail("found " + Describe(target) + " with attributes, expected one without");
  value(target).state = state;
}

}  // namespace lifescope
