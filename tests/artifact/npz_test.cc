#include "server/artifact/npz.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <stdexcept>
#include <string>
#include <vector>

#include "server/artifact/zip_writer.h"

namespace lifescope {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// A .npy file of version 1 with that header and that many bytes of data.
std::string Npy(const std::string& header, size_t data_bytes, char version = 1) {
  std::string bytes("\x93NUMPY");
  bytes += version;
  bytes += '\0';
  bytes += static_cast<char>(header.size());
  bytes += static_cast<char>(header.size() >> 8);
  if (version > 1) bytes += std::string(2, '\0');
  return bytes + header + std::string(data_bytes, '\1');
}

std::string ErrorOf(const std::string& bytes) {
  try {
    ParseNpy(bytes);
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
  return "no error";
}

TEST(Npy, ReadsWhatNumPyWrites) {
  const std::string header = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }  \n";
  for (const char version : {1, 2, 3}) {
    const std::string bytes = Npy(header, 24, version);
    const NpyArray array = ParseNpy(bytes);
    EXPECT_EQ(array.element, NpyElement::kFloat);
    EXPECT_THAT(array.shape, ElementsAre(2, 3));
    EXPECT_EQ(array.data, std::string(24, '\1'));
  }
  EXPECT_THAT(ParseNpy(Npy("{'shape': (3,), \"descr\": \"<f2\", 'fortran_order': False}", 6)).shape, ElementsAre(3));
  EXPECT_THAT(ParseNpy(Npy("{'descr': '<f8', 'fortran_order': False, 'shape': ()}", 8)).shape, ElementsAre());
  EXPECT_EQ(ParseNpy(Npy("{'descr': '<f8', 'fortran_order': False, 'shape': (4, 0)}", 0)).data.size(), 0u);
}

TEST(Npy, WritesWhatItReads) {
  const std::vector<std::vector<int64_t>> shapes{{}, {3}, {2, 3}, {1, 2, 3}};
  for (const auto& shape : shapes) {
    int64_t count = 1;
    for (const int64_t size : shape) count *= size;
    const std::string data(count * 8, 'x'), bytes = NpyOf({NpyElement::kDouble, shape, data});
    EXPECT_EQ((bytes.size() - data.size()) % 64, 0u);
    const NpyArray array = ParseNpy(bytes);
    EXPECT_EQ(array.element, NpyElement::kDouble);
    EXPECT_EQ(array.shape, shape);
    EXPECT_EQ(array.data, data);
  }
}

TEST(Npy, OtherArraysAreRefusedByName) {
  const auto refuse = [](const std::string& header, size_t data_bytes, const char* message) {
    EXPECT_THAT(ErrorOf(Npy(header, data_bytes)), HasSubstr(message));
  };
  refuse("{'descr': '>f4', 'fortran_order': False, 'shape': (2,)}", 8, "descr is '>f4', expected one of <f2, <f4, <f8");
  refuse("{'descr': '|O', 'fortran_order': False, 'shape': (2,)}", 8, "descr is '|O'");
  refuse("{'descr': '<f4', 'fortran_order': True, 'shape': (2, 2)}", 16, "fortran_order is 'True'");
  refuse("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 2)}", 12, "is 16 bytes, but 12 follow");
  refuse("{'descr': '<f4', 'fortran_order': False, 'shape': (-2,)}", 8, "shape has '-'");
  refuse("{'descr': '<f4', 'fortran_order': False}", 8, "has 2 keys");
  refuse("{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': ()}", 4, "'descr' is there twice");
  refuse("{'descr': '<f4', 'fortran_order': False, 'shape': (), 'x': 1}", 4, "unknown key 'x'");
  refuse("{'descr': '<f4', 'fortran_order': False, 'shape': ()} x", 4, "more after its dict");
  refuse("{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296)}", 4, "does not fit 64 bits");
  refuse("{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,)}", 4, "does not fit 64 bits");
  refuse("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': ()}", 4, "expected '''");
  EXPECT_THAT(ErrorOf("GIF89a"), HasSubstr("begins with 'GIF89a'"));
  EXPECT_THAT(ErrorOf(Npy("{}", 0, 4)), HasSubstr("version 4"));
  const std::string good = Npy("{'descr': '<f4', 'fortran_order': False, 'shape': (2,)}", 8);
  for (size_t size = 0; size < good.size(); ++size) EXPECT_NE(ErrorOf(good.substr(0, size)), "no error") << size;
}

TEST(Npz, ReadsArraysByName) {
  const std::string bytes = ZipOf({{"b.npy", "second"}, {"a.npy", "first"}});
  const NpzArchive archive(bytes);
  EXPECT_THAT(archive.names(), ElementsAre("a", "b"));
  EXPECT_EQ(archive.Read("a"), "first");
  EXPECT_THROW(NpzArchive(ZipOf({{"readme.txt", "x"}})), std::invalid_argument);
  EXPECT_THROW(NpzArchive(ZipOf({{".npy", "x"}})), std::invalid_argument);
}

// numpy.savez_compressed(file, a=numpy.arange(6, dtype="<f4").reshape(2, 3))
constexpr char kDeflated[] =
    "504b03042d0000000800000021004fe9002affffffffffffffff05001400612e6e70790100100098000000000000005500000000000000"
    "9bec17ea1b10c9c850c650ad9e925a9c5ca46ea5a06e9366a2aea3a09e965f54529498179f5f94920a12774bcc294e058a17672416a402"
    "f91a463a0ac69a3a0ab50a64032e063068b007120e4004c40d40bcc00100504b01022d032d0000000800000021004fe9002a5500000098"
    "000000050000000000000000000000800100000000612e6e7079504b05060000000001000100330000008c0000000000";

std::string FromHex(const std::string& text) {
  std::string bytes;
  for (size_t i = 0; i < text.size(); i += 2) bytes += static_cast<char>(std::stoi(text.substr(i, 2), nullptr, 16));
  return bytes;
}

TEST(Npz, DeflatedArraysAreRead) {
  const std::string bytes = FromHex(kDeflated);
  const std::string npy = NpzArchive(bytes).Read("a");
  const NpyArray array = ParseNpy(npy);
  EXPECT_THAT(array.shape, ElementsAre(2, 3));
  std::vector<float> values(6);
  std::memcpy(values.data(), array.data.data(), array.data.size());
  EXPECT_THAT(values, ElementsAre(0, 1, 2, 3, 4, 5));
}

TEST(Npz, ClaimsThatDeflateCannotKeepAreRefused) {
  std::string bytes = FromHex(kDeflated);
  const size_t entry = bytes.find("PK\x01\x02");
  // The size of what was deflated, in the directory and in the record's own header.
  bytes[entry + 27] = bytes[42] = 64;
  try {
    NpzArchive(bytes).Read("a");
    FAIL() << "was read";
  } catch (const std::invalid_argument& error) {
    EXPECT_THAT(error.what(), HasSubstr("claims"));
  }
}

}  // namespace
}  // namespace lifescope
