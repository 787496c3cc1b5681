#include "server/artifact/pickle.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <stdexcept>

#include "server/artifact/artifact.h"
#include "server/artifact/torch_writer.h"
#include "tests/support/golden.h"

namespace lifescope {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using Kind = PickleValue::Kind;

std::string Seed(const std::string& name) {
  const char* source = std::getenv("LIFESCOPE_SOURCE_DIR");
  return ReadFile(std::string(source == nullptr ? "." : source) + "/tests/fuzz/corpus/pickle/" + name);
}

template <typename Function>
std::string ErrorOf(Function function) {
  try {
    function();
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
  return "no error";
}

std::string ParseError(const std::string& bytes, const PickleLimits& limits = {}) {
  return ErrorOf([&] { Pickle::Parse(bytes, limits); });
}

TEST(Pickle, EveryProtocolGivesTheSameValues) {
  for (const char* name : {"protocol2.pkl", "protocol3.pkl", "protocol4.pkl", "protocol5.pkl"}) {
    const Pickle pickle = Pickle::Parse(Seed(name));
    ASSERT_TRUE(pickle.root().Is(Kind::kDict)) << name;
    const std::vector<PickleValue> items = pickle.root().Find("a").value().Items();
    ASSERT_EQ(items.size(), 20u) << name;
    const int64_t integers[] = {1, -2, 300, 70000, -70000, int64_t{1} << 40, -(int64_t{1} << 40)};
    for (size_t i = 0; i < std::size(integers); ++i) EXPECT_EQ(items[i].AsInt(), integers[i]) << name;
    EXPECT_TRUE(items[7].Is(Kind::kBigInt)) << name;  // 2^63
    EXPECT_EQ(items[8].AsFloat(), 1.5) << name;
    EXPECT_EQ(items[9].AsFloat(), -0.25) << name;
    EXPECT_TRUE(items[10].AsBool()) << name;
    EXPECT_FALSE(items[11].AsBool()) << name;
    EXPECT_TRUE(items[12].Is(Kind::kNone)) << name;
    for (size_t length = 1; length <= 4; ++length) {
      const std::vector<PickleValue> tuple = items[13 + length].Items();
      ASSERT_EQ(tuple.size(), length) << name;
      EXPECT_EQ(tuple[0].AsText(), "t") << name;
    }
    EXPECT_TRUE(items[18].Items().empty()) << name;
    EXPECT_EQ(items[19].AsText(), "\xc3\xa9") << name;
  }
}

TEST(Pickle, BytesAreBytesFromProtocolThreeAndACallBefore) {
  const auto bytes = [](const Pickle& pickle) { return pickle.root().Find("a").value().Items()[13]; };
  const Pickle three = Pickle::Parse(Seed("protocol3.pkl")), two = Pickle::Parse(Seed("protocol2.pkl"));
  EXPECT_EQ(bytes(three).AsText(), std::string_view("xy\0", 3));
  EXPECT_TRUE(bytes(two).IsRecordOf("_codecs.encode"));
}

TEST(Pickle, SetsAndByteArraysAreValues) {
  const Pickle pickle = Pickle::Parse(Seed("set.pkl"));
  const std::vector<PickleValue> items = pickle.root().Items();
  EXPECT_EQ(items[0].Items()[0].AsInt(), 1);
  EXPECT_TRUE(items[1].Is(Kind::kSet));
  EXPECT_EQ(items[2].AsText(), "z");
}

TEST(Pickle, ACallIsARecordAndNothingRuns) {
  const std::string witness = TemporaryFolder() + "/witness";
  for (const char* function : {"posix\nsystem", "os\nsystem", "builtins\neval", "subprocess\nPopen"}) {
    const std::string name = function;
    const std::string callee = PickleGlobal(name.substr(0, name.find('\n')), name.substr(name.find('\n') + 1));
    const Pickle pickle = Pickle::Parse(PickleOf(PickleCall(callee, PickleTuple({PickleString("touch " + witness)}))));
    EXPECT_TRUE(pickle.root().Is(Kind::kRecord));
    EXPECT_EQ(pickle.root().Arguments().Items()[0].AsText(), "touch " + witness);
  }
  EXPECT_FALSE(std::filesystem::exists(witness));
}

TEST(Pickle, ARecordKeepsItsEntriesAndItsState) {
  const std::string space = PickleCall(PickleGlobal("argparse", "Namespace"), PickleTuple({}));
  const Pickle of_state = Pickle::Parse(PickleOf(space + PickleDict({{"x", PickleInt(1)}}) + "b"));
  EXPECT_EQ(of_state.root().State().value().Find("x").value().AsInt(), 1);
  const Pickle of_entries = Pickle::Parse(PickleOf(space + "(" + PickleString("y") + PickleInt(2) + "u"));
  EXPECT_EQ(of_entries.root().Find("y").value().AsInt(), 2);
  EXPECT_EQ(of_entries.root().GlobalName(), "argparse.Namespace");
}

TEST(Pickle, AnOrderedDictIsADict) {
  const std::string ordered = PickleCall(PickleGlobal("collections", "OrderedDict"), ")");
  const Pickle pickle = Pickle::Parse(PickleOf(ordered + PickleString("k") + PickleInt(3) + "s"));
  EXPECT_TRUE(pickle.root().Is(Kind::kDict));
  EXPECT_EQ(pickle.root().Find("k").value().AsInt(), 3);
}

TEST(Pickle, AValueThatIsSharedCostsOne) {
  PickleLimits limits;
  limits.values = 100;  // 8^40 elements, were they counted one by one
  const Pickle pickle = Pickle::Parse(Seed("billion_laughs.pkl"), limits);
  EXPECT_EQ(pickle.root().Items().size(), 8u);
}

TEST(Pickle, KeywordsThatManyCallsShareCountEachTime) {
  const std::string callee = PickleGlobal("a", "B") + "q\x01" + "0";
  const std::string dict = PickleDict({{"x", PickleInt(1)}, {"y", PickleInt(2)}}) + "q\x02" + "0";
  const auto calls = [&](int count) {
    std::string list = "](";
    for (int i = 0; i < count; ++i) list += "h\x01)h\x02\x92";
    return PickleOf(callee + dict + list + "e");
  };
  PickleLimits limits;
  limits.values = 100;
  const Pickle pickle = Pickle::Parse(calls(25), limits);
  EXPECT_EQ(pickle.root().Items()[24].Find("y").value().AsInt(), 2);
  EXPECT_THAT(ParseError(calls(26), limits), HasSubstr("NEWOBJ_EX"));
  EXPECT_THAT(ParseError(calls(26), limits), HasSubstr("over 100 keywords and their values"));
}

TEST(Pickle, AListMayHoldItself) {
  const Pickle pickle = Pickle::Parse(Seed("holds_itself.pkl"));
  EXPECT_EQ(pickle.root().Items()[0].Items()[0].Items().size(), 1u);
}

TEST(Pickle, NestingOfAnyDepthNeedsNoStack) {
  constexpr size_t kDepth = 900000;
  const Pickle pickle = Pickle::Parse(std::string(kDepth, ']') + std::string(kDepth - 1, 'a') + ".");
  EXPECT_EQ(pickle.root().Items().size(), 1u);
}

TEST(Pickle, EveryTruncationIsRefused) {
  const std::string whole = Seed("state_dict.pkl");
  EXPECT_EQ(ParseError(whole), "no error");
  for (size_t size = 0; size < whole.size(); ++size) EXPECT_NE(ParseError(whole.substr(0, size)), "no error") << size;
}

TEST(Pickle, LimitsHold) {
  PickleLimits limits;
  limits.values = 1000;
  limits.bytes = 5000;
  EXPECT_THAT(ParseError(std::string(1001, 'N'), limits), HasSubstr("over 1000 values"));
  EXPECT_THAT(ParseError(std::string(1001, '('), limits), HasSubstr("over 1000 values or marks"));
  std::string recalls = "Nq\x01";
  for (int i = 0; i < 1001; ++i) recalls += "h\x01";
  EXPECT_THAT(ParseError(recalls, limits), HasSubstr("over 1000 values or marks"));
  EXPECT_THAT(ParseError(std::string(5001, 'N'), limits), HasSubstr("5001 bytes, the limit is 5000"));
}

TEST(Pickle, AnErrorNamesOpcodeByteFoundAndExpected) {
  const struct {
    std::string bytes, error;
  } cases[] = {
      {"", "the bytes end, expected STOP"},
      {"N", "at byte 1: the bytes end, expected STOP"},
      {"\xff", "opcode at byte 0: found 0xff"},
      {"I1\n.", "found 0x49, expected an opcode that builds data"},
      {"\x80\x06N.", "PROTO at byte 0: protocol 6, expected at most 5"},
      {".", "STOP at byte 0: the stack holds 0 values"},
      {"NN.", "STOP at byte 2: the stack holds 2 values"},
      {"N.N", "STOP at byte 1: 1 bytes follow, expected none"},
      {std::string("X\xff\xff\xff\xff"
                   "ab.",
                   8),
       "BINUNICODE at byte 0: truncated: it needs 4294967295 bytes, 3 are left"},
      {"\x8e\xff\xff\xff\xff\xff\xff\xff\xff.", "BINBYTES8 at byte 0: truncated: it needs 18446744073709551615 bytes"},
      {"\x8b\xff\xff\xff\xff.", "LONG4 at byte 0: truncated"},
      {"\x95\xff\xff\xff\xff\xff\xff\xff\xff.", "FRAME at byte 0: truncated"},
      {"cos\nsystem", "GLOBAL at byte 0: truncated: a name without a line end"},
      {"j\xff\xff\xff\xff.", "LONG_BINGET at byte 0: the memo has no entry 4294967295"},
      {"q", "BINPUT at byte 0: truncated"},
      {"q\x01", "BINPUT at byte 0: the stack has no value for it"},
      {"t.", "TUPLE at byte 0: no MARK before it"},
      {"N(\x85.", "TUPLE1 at byte 2: it takes 1 values, the stack has 0"},
      {"NNa.", "APPEND at byte 2: found None at byte 0, expected a list or a set to add to"},
      {"}NNNes.", "APPENDS at byte 4: no MARK"},
      {"](NNu.", "SETITEMS at byte 4: found a list of 0 at byte 0, expected a dict to set entries of"},
      {"}(Nu.", "SETITEMS at byte 3: found 1 values, expected keys and values"},
      {"NNR.", "REDUCE at byte 2: found None at byte 1, expected a tuple of arguments"},
      {"N)N\x92.", "NEWOBJ_EX at byte 3: found None at byte 2, expected a dict of keyword arguments"},
      {"]Nb.", "BUILD at byte 2: found a list of 0 at byte 0, expected a record"},
      {"}NbNb.", "BUILD at byte 4: found a dict of 0 at byte 0 with attributes"},
      {"NN\x93.", "STACK_GLOBAL at byte 2: found None at byte 0, expected the name"}};
  for (const auto& wrong : cases) EXPECT_THAT(ParseError(wrong.bytes), HasSubstr(wrong.error));
}

TEST(Pickle, AValueOfAnotherKindIsNamed) {
  const Pickle pickle = Pickle::Parse(PickleOf(PickleString("te\nxt")));
  EXPECT_THAT(ErrorOf([&] { pickle.root().AsInt(); }), AllOf(HasSubstr("'te?xt' at byte 2"), HasSubstr("an integer")));
  EXPECT_THAT(ErrorOf([&] { pickle.root().Items(); }), HasSubstr("expected a list, a tuple or a set"));
  EXPECT_THAT(ErrorOf([&] { pickle.root().Arguments(); }), HasSubstr("expected a record"));
}

TEST(Pickle, TwoEntriesOfOneNameAreRefusedWhenAskedFor) {
  const Pickle pickle = Pickle::Parse(PickleOf(PickleDict({{"a", PickleInt(1)}, {"b", "N"}, {"a", PickleInt(2)}})));
  EXPECT_THAT(ErrorOf([&] { pickle.root().Find("a"); }), HasSubstr("two entries 'a'"));
  EXPECT_TRUE(pickle.root().Find("b").value().Is(Kind::kNone));
}

}  // namespace
}  // namespace lifescope
