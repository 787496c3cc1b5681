#include "server/artifact/pickle.h"

#include <algorithm>
#include <array>
#include <stdexcept>
#include <utility>

#include "server/artifact/pickle_machine.h"
#include "server/artifact/pickle_table.h"

namespace lifescope {
namespace {

using Kind = PickleValue::Kind;

struct Opcode {
  uint8_t code;
  const char* name;
  void (*run)(PickleMachine&);
};

// Opcodes of text protocols, of registered extensions and of buffers outside the pickle are left out on purpose: no
// checkpoint has them.
constexpr Opcode kOpcodes[] = {
    {0x80, "PROTO", [](PickleMachine& m) { m.Protocol(); }},
    {0x95, "FRAME", [](PickleMachine& m) { m.Frame(); }},
    {'.', "STOP", [](PickleMachine& m) { m.Stop(); }},
    {'(', "MARK", [](PickleMachine& m) { m.Mark(); }},
    {'0', "POP", [](PickleMachine& m) { m.PopOne(); }},
    {'1', "POP_MARK", [](PickleMachine& m) { m.PopMark(); }},
    {'N', "NONE", [](PickleMachine& m) { m.PushEmpty(Kind::kNone); }},
    {0x88, "NEWTRUE", [](PickleMachine& m) { m.PushBits(Kind::kBool, 1); }},
    {0x89, "NEWFALSE", [](PickleMachine& m) { m.PushBits(Kind::kBool, 0); }},
    {'K', "BININT1", [](PickleMachine& m) { m.PushBits(Kind::kInt, m.Number(1)); }},
    {'M', "BININT2", [](PickleMachine& m) { m.PushBits(Kind::kInt, m.Number(2)); }},
    {'J', "BININT",
     [](PickleMachine& m) { m.PushBits(Kind::kInt, static_cast<int64_t>(static_cast<int32_t>(m.Number(4)))); }},
    {0x8a, "LONG1", [](PickleMachine& m) { m.PushInteger(1); }},
    {0x8b, "LONG4", [](PickleMachine& m) { m.PushInteger(4); }},
    {'G', "BINFLOAT", [](PickleMachine& m) { m.PushDouble(); }},
    {0x8c, "SHORT_BINUNICODE", [](PickleMachine& m) { m.PushText(Kind::kString, 1); }},
    {'X', "BINUNICODE", [](PickleMachine& m) { m.PushText(Kind::kString, 4); }},
    {0x8d, "BINUNICODE8", [](PickleMachine& m) { m.PushText(Kind::kString, 8); }},
    {'C', "SHORT_BINBYTES", [](PickleMachine& m) { m.PushText(Kind::kBytes, 1); }},
    {'B', "BINBYTES", [](PickleMachine& m) { m.PushText(Kind::kBytes, 4); }},
    {0x8e, "BINBYTES8", [](PickleMachine& m) { m.PushText(Kind::kBytes, 8); }},
    {0x96, "BYTEARRAY8", [](PickleMachine& m) { m.PushText(Kind::kBytes, 8); }},
    {')', "EMPTY_TUPLE", [](PickleMachine& m) { m.PushEmpty(Kind::kTuple); }},
    {0x85, "TUPLE1", [](PickleMachine& m) { m.PushTupleOf(1); }},
    {0x86, "TUPLE2", [](PickleMachine& m) { m.PushTupleOf(2); }},
    {0x87, "TUPLE3", [](PickleMachine& m) { m.PushTupleOf(3); }},
    {'t', "TUPLE", [](PickleMachine& m) { m.PushFromMark(Kind::kTuple); }},
    {']', "EMPTY_LIST", [](PickleMachine& m) { m.PushEmpty(Kind::kList); }},
    {'a', "APPEND", [](PickleMachine& m) { m.Append(m.Take(1)); }},
    {'e', "APPENDS", [](PickleMachine& m) { m.Append(m.TakeFromMark()); }},
    {0x8f, "EMPTY_SET", [](PickleMachine& m) { m.PushEmpty(Kind::kSet); }},
    {0x90, "ADDITEMS", [](PickleMachine& m) { m.Append(m.TakeFromMark()); }},
    {0x91, "FROZENSET", [](PickleMachine& m) { m.PushFromMark(Kind::kSet); }},
    {'}', "EMPTY_DICT", [](PickleMachine& m) { m.PushEmpty(Kind::kDict); }},
    {'s', "SETITEM", [](PickleMachine& m) { m.SetEntries(m.Take(2)); }},
    {'u', "SETITEMS", [](PickleMachine& m) { m.SetEntries(m.TakeFromMark()); }},
    {'c', "GLOBAL", [](PickleMachine& m) { m.PushGlobalOfLines(); }},
    {0x93, "STACK_GLOBAL", [](PickleMachine& m) { m.PushGlobalOfStack(); }},
    {'R', "REDUCE", [](PickleMachine& m) { m.PushCall(false); }},
    {0x81, "NEWOBJ", [](PickleMachine& m) { m.PushCall(false); }},
    {0x92, "NEWOBJ_EX", [](PickleMachine& m) { m.PushCall(true); }},
    {'b', "BUILD", [](PickleMachine& m) { m.SetState(); }},
    {'Q', "BINPERSID", [](PickleMachine& m) { m.PushPersistentId(); }},
    {'q', "BINPUT", [](PickleMachine& m) { m.Memoize(m.Number(1)); }},
    {'r', "LONG_BINPUT", [](PickleMachine& m) { m.Memoize(m.Number(4)); }},
    {0x94, "MEMOIZE", [](PickleMachine& m) { m.Memoize(m.memo_size()); }},
    {'h', "BINGET", [](PickleMachine& m) { m.Recall(m.Number(1)); }},
    {'j', "LONG_BINGET", [](PickleMachine& m) { m.Recall(m.Number(4)); }},
};

const Opcode* FindOpcode(uint8_t code) {
  static const std::array<const Opcode*, 256> by_code = [] {
    std::array<const Opcode*, 256> table{};
    for (const Opcode& opcode : kOpcodes) table[opcode.code] = &opcode;
    return table;
  }();
  return by_code[code];
}

std::string Hex(uint8_t byte) {
  constexpr char kDigits[] = "0123456789abcdef";
  return std::string("0x") + kDigits[byte >> 4] + kDigits[byte & 15];
}

}  // namespace

void PickleMachine::Run() {
  if (bytes_.size() > limits_.bytes) {
    throw std::invalid_argument("pickle: " + std::to_string(bytes_.size()) + " bytes, the limit is " +
                                std::to_string(limits_.bytes));
  }
  while (!stopped_) {
    opcode_offset_ = position_;
    if (position_ == bytes_.size()) Fail("the bytes end, expected STOP");
    const uint8_t code = static_cast<uint8_t>(Number(1));
    const Opcode* opcode = FindOpcode(code);
    opcode_name_ = opcode == nullptr ? "opcode" : opcode->name;
    if (opcode == nullptr) Fail("found " + Hex(code) + ", expected an opcode that builds data");
    opcode->run(*this);
    if (std::max(stack_.size(), marks_.size()) > limits_.values) {
      Fail("the stack holds over " + std::to_string(limits_.values) + " values or marks");
    }
  }
  if (stack_.size() != 1 || !marks_.empty()) {
    Fail("the stack holds " + std::to_string(stack_.size()) + " values and " + std::to_string(marks_.size()) +
         " marks, expected the one result");
  }
  if (position_ != bytes_.size()) Fail(std::to_string(bytes_.size() - position_) + " bytes follow, expected none");
  table_.root = stack_.back();
}

Pickle Pickle::Parse(std::string bytes, const PickleLimits& limits) {
  const auto table = std::make_shared<PickleTable>();
  table->bytes = std::move(bytes);
  PickleMachine(*table, limits).Run();
  Pickle pickle;
  pickle.table_ = table;
  return pickle;
}

}  // namespace lifescope
