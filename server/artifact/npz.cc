#include "server/artifact/npz.h"

#include <algorithm>
#include <bit>
#include <limits>
#include <set>
#include <stdexcept>

#include "server/artifact/pickle.h"

namespace lifescope {
namespace {

static_assert(std::endian::native == std::endian::little, "elements are copied as they lie in the file");

constexpr std::string_view kMagic = "\x93NUMPY";
constexpr std::string_view kExtension = ".npy";
constexpr size_t kMaxRecords = 4096;
constexpr size_t kMaxDimensions = 64;

struct Descriptor {
  const char* text;
  NpyElement element;
};
constexpr Descriptor kDescriptors[] = {
    {"<f2", NpyElement::kHalf}, {"<f4", NpyElement::kFloat}, {"<f8", NpyElement::kDouble}};

void Check(bool is_right, const std::string& what) {
  if (!is_right) throw std::invalid_argument(what);
}

std::string Little(uint64_t value, int bytes) {
  std::string text;
  for (int i = 0; i < bytes; ++i) text += static_cast<char>(value >> (8 * i));
  return text;
}

// The header of an array: the text of a Python dict with the keys descr, fortran_order and shape.
class HeaderReader {
 public:
  explicit HeaderReader(std::string_view text) : text_(text) {}

  NpyArray Read() {
    NpyArray array;
    std::set<std::string> seen;
    Expect('{');
    while (!Accept('}')) {
      const std::string key = Text();
      Check(seen.insert(key).second, "header: key " + Quoted(key) + " is there twice");
      Expect(':');
      if (key == "descr") {
        array.element = ElementOf(Text());
      } else if (key == "fortran_order") {
        const std::string word = Word();
        Check(word == "False", "header: fortran_order is " + Quoted(word) + ", expected False: rows one after another");
      } else {
        Check(key == "shape", "header: unknown key " + Quoted(key) + ", expected descr, fortran_order and shape");
        array.shape = Shape();
      }
      if (!Accept(',')) {
        Expect('}');
        break;
      }
    }
    Check(seen.size() == 3,
          "header: has " + std::to_string(seen.size()) + " keys, expected descr, fortran_order and shape");
    SkipSpace();
    Check(position_ == text_.size(), "header: more after its dict");
    return array;
  }

 private:
  void SkipSpace() {
    while (position_ < text_.size() && (text_[position_] == ' ' || text_[position_] == '\n')) ++position_;
  }
  bool Accept(char c) {
    SkipSpace();
    if (position_ == text_.size() || text_[position_] != c) return false;
    ++position_;
    return true;
  }
  void Expect(char c) {
    Check(Accept(c), "header: found " + Quoted(text_.substr(position_, 1)) + " at byte " + std::to_string(position_) +
                         " of it, expected '" + std::string(1, c) + "'");
  }
  std::string Text() {
    const char quote = Accept('"') ? '"' : '\'';
    if (quote == '\'') Expect('\'');
    const size_t end = text_.find(quote, position_);
    Check(end != std::string_view::npos, "header: a string does not end");
    const std::string text(text_.substr(position_, end - position_));
    position_ = end + 1;
    return text;
  }
  std::string Word() {
    SkipSpace();
    const size_t begin = position_;
    while (position_ < text_.size() && text_[position_] >= 'A' && text_[position_] <= 'z') ++position_;
    return std::string(text_.substr(begin, position_ - begin));
  }
  int64_t Size() {
    SkipSpace();
    Check(position_ < text_.size() && text_[position_] >= '0' && text_[position_] <= '9',
          "header: shape has " + Quoted(text_.substr(position_, 1)) + ", expected sizes");
    int64_t size = 0;
    for (; position_ < text_.size() && text_[position_] >= '0' && text_[position_] <= '9'; ++position_) {
      Check(!__builtin_mul_overflow(size, 10, &size) && !__builtin_add_overflow(size, text_[position_] - '0', &size),
            "header: a size does not fit 64 bits");
    }
    return size;
  }
  std::vector<int64_t> Shape() {
    std::vector<int64_t> shape;
    Expect('(');
    while (!Accept(')')) {
      Check(shape.size() < kMaxDimensions, "header: more than " + std::to_string(kMaxDimensions) + " dimensions");
      shape.push_back(Size());
      if (!Accept(',')) {
        Expect(')');
        break;
      }
    }
    return shape;
  }
  static NpyElement ElementOf(const std::string& text) {
    for (const Descriptor& descriptor : kDescriptors) {
      if (text == descriptor.text) return descriptor.element;
    }
    throw std::invalid_argument("header: descr is " + Quoted(text) + ", expected one of <f2, <f4, <f8");
  }

  std::string_view text_;
  size_t position_ = 0;
};

std::string Shown(const std::vector<int64_t>& shape) {
  std::string text = "(";
  for (const int64_t size : shape) text += std::to_string(size) + ", ";
  return text.substr(0, text.size() - (shape.size() > 1 ? 2 : shape.empty() ? 0 : 1)) + ")";
}

// Bytes of the elements; false when their number does not fit 64 bits.
bool CountBytes(const NpyArray& array, uint64_t* bytes) {
  *bytes = BytesOf(array.element);
  bool fits = true, is_empty = false;
  for (const int64_t size : array.shape) {
    is_empty = is_empty || size == 0;
    fits = fits && !__builtin_mul_overflow(*bytes, static_cast<uint64_t>(std::max<int64_t>(size, 1)), bytes);
  }
  if (is_empty) *bytes = 0;
  return fits && *bytes <= std::numeric_limits<int64_t>::max();
}

}  // namespace

size_t BytesOf(NpyElement element) { return element == NpyElement::kHalf ? 2 : element == NpyElement::kFloat ? 4 : 8; }

NpyArray ParseNpy(std::string_view bytes) {
  Check(bytes.substr(0, kMagic.size()) == kMagic,
        "begins with " + Quoted(bytes.substr(0, kMagic.size())) + ", expected an array as numpy.save writes it");
  Check(bytes.size() >= kMagic.size() + 6, "truncated: " + std::to_string(bytes.size()) + " bytes");
  const int version = static_cast<uint8_t>(bytes[kMagic.size()]);
  Check(version >= 1 && version <= 3, "version " + std::to_string(version) + " of the format, expected 1 to 3");
  const size_t length_bytes = version == 1 ? 2 : 4, begin = kMagic.size() + 2 + length_bytes;
  uint64_t length = 0;
  for (size_t i = 0; i < length_bytes; ++i) {
    length |= static_cast<uint64_t>(static_cast<uint8_t>(bytes[kMagic.size() + 2 + i])) << (8 * i);
  }
  Check(length <= bytes.size() - begin, "truncated: a header of " + std::to_string(length) + " bytes, " +
                                            std::to_string(bytes.size() - begin) + " are left");
  NpyArray array = HeaderReader(bytes.substr(begin, length)).Read();
  array.data = bytes.substr(begin + length);
  uint64_t expected = 0;
  Check(CountBytes(array, &expected), "shape " + Shown(array.shape) + " has a byte count that does not fit 64 bits");
  Check(array.data.size() == expected, "shape " + Shown(array.shape) + " is " + std::to_string(expected) +
                                           " bytes, but " + std::to_string(array.data.size()) + " follow the header");
  return array;
}

std::string NpyOf(const NpyArray& array) {
  std::string header = "{'descr': '";
  for (const Descriptor& descriptor : kDescriptors) {
    if (descriptor.element == array.element) header += descriptor.text;
  }
  header += "', 'fortran_order': False, 'shape': " + Shown(array.shape) + ", }";
  // Elements begin at a multiple of 64 bytes.
  const size_t begin = kMagic.size() + 4;
  header += std::string(63 - (begin + header.size()) % 64, ' ');
  header += '\n';
  std::string bytes(kMagic);
  bytes += Little(1, 2) + Little(header.size(), 2) + header;
  return bytes.append(array.data);
}

NpzArchive::NpzArchive(std::string_view bytes) : zip_(bytes, kMaxRecords) {
  for (const auto& [name, record] : zip_.records()) {
    const size_t size = name.size();
    Check(size > kExtension.size() && name.compare(size - kExtension.size(), size, kExtension) == 0,
          "record " + Quoted(name) + ", expected arrays alone, 'name.npy'");
    names_.push_back(name.substr(0, size - kExtension.size()));
  }
}

std::string NpzArchive::Read(const std::string& name) const { return zip_.Inflate(name + std::string(kExtension)); }

}  // namespace lifescope
