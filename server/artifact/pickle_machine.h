// The stack machine of pickles. Private to the pickle reader.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "server/artifact/pickle.h"
#include "server/artifact/pickle_table.h"

namespace lifescope {

class PickleMachine {
 public:
  PickleMachine(PickleTable& table, const PickleLimits& limits) : table_(table), bytes_(table.bytes), limits_(limits) {}
  // Runs to STOP and sets the table's root.
  void Run();

  // What opcodes do. Each pushes, pops or changes values as CPython's pickle module does, without calling anything.
  void Protocol();
  void Frame();
  void PushBits(PickleValue::Kind kind, uint64_t bits) { table_.values[Push(kind)].bits = bits; }
  void PushText(PickleValue::Kind kind, int length_bytes);
  void PushInteger(int length_bytes);
  void PushDouble();
  void PushEmpty(PickleValue::Kind kind) { Push(kind); }
  void PushTupleOf(size_t count);
  void PushFromMark(PickleValue::Kind kind);
  void PushGlobalOfLines();
  void PushGlobalOfStack();
  void PushCall(bool has_keywords);
  void PushPersistentId();
  void Mark() { marks_.push_back(stack_.size()); }
  void PopOne();
  void PopMark() { TakeFromMark(); }
  void Memoize(uint64_t key);
  void Recall(uint64_t key);
  void Append(const std::vector<uint32_t>& items);
  void SetEntries(const std::vector<uint32_t>& entries);
  void SetState();
  void Stop() { stopped_ = true; }

  uint64_t Number(int size);
  size_t memo_size() const { return memo_.size(); }
  std::vector<uint32_t> Take(size_t count);
  std::vector<uint32_t> TakeFromMark();
  [[noreturn]] void Fail(const std::string& what) const;

 private:
  // A place in the pickle's bytes.
  struct Slice {
    uint64_t begin = 0, length = 0;
  };

  Slice Bytes(uint64_t length);
  Slice Line();
  uint32_t Make(PickleValue::Kind kind);
  uint32_t Push(PickleValue::Kind kind);
  uint32_t MakeText(Slice text);
  void PushIndex(uint32_t index);
  uint32_t Top() const;
  PickleTable::Value& value(uint32_t index) { return table_.values[index]; }
  std::string Describe(uint32_t index) const { return PickleValue(table_, index).Describe(); }
  void Expect(bool is_right, uint32_t found, const char* expected) const;
  bool IsEmptyOrderedDict(uint32_t callee, uint32_t arguments) const;

  PickleTable& table_;
  const std::string& bytes_;
  const PickleLimits limits_;
  std::vector<uint32_t> stack_;
  std::vector<size_t> marks_;  // heights of the stack
  std::unordered_map<uint64_t, uint32_t> memo_;
  size_t keyword_count_ = 0;  // keywords and values of all calls
  size_t position_ = 0;
  size_t opcode_offset_ = 0;
  const char* opcode_name_ = "the pickle";
  bool stopped_ = false;
};

}  // namespace lifescope
