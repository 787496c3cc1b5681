// Where output goes, and text that knows its width and its colours.
#pragma once

#include <iosfwd>
#include <string>
#include <vector>

namespace lifescope {

// Standard output and error of the client, or what a test puts in their place.
struct Terminal {
  std::ostream& out;
  std::ostream& err;
  // Colours on `out`: a terminal, and NO_COLOR is not set.
  bool colour = false;
  // `err` is a terminal, so a line of progress may be drawn and wiped there.
  bool live = false;
  // Columns of `out`. 0: as long as the line is.
  int width = 0;

  static Terminal Standard();
};

enum class Style { kPlain, kBold, kDim, kUp, kDown, kAccent };

// UTF-8 text in spans of one style each. Its width counts code points, which is right for all that the client prints.
class Text {
 public:
  Text() = default;
  Text(std::string text, Style style = Style::kPlain);  // NOLINT(google-explicit-constructor): a cell is often a string
  Text(const char* text) : Text(std::string(text)) {}   // NOLINT(google-explicit-constructor)

  Text& Append(std::string text, Style style);
  Text& Append(const Text& other);

  int width() const;
  bool empty() const { return spans_.empty(); }
  // At most `width` columns, the last one "…" where something was cut off.
  Text Shortened(int width) const;
  // With ANSI escapes where `colour`.
  std::string Render(bool colour) const;

 private:
  struct Span {
    std::string text;
    Style style;
  };
  std::vector<Span> spans_;
};

// Code points of a UTF-8 string.
int DisplayWidth(const std::string& text);

// Prints `text`, shortened to the terminal, and ends the line.
void PrintLine(Terminal& terminal, const Text& text = {});

}  // namespace lifescope
