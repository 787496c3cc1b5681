#include "client/cli/terminal.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdlib>
#include <iostream>
#include <utility>

namespace lifescope {
namespace {

bool StartsCodePoint(char byte) { return (static_cast<unsigned char>(byte) & 0xC0) != 0x80; }

const char* Escape(Style style) {
  switch (style) {
    case Style::kBold:
      return "\033[1m";
    case Style::kDim:
      return "\033[2m";
    case Style::kUp:
      return "\033[32m";
    case Style::kDown:
      return "\033[31m";
    case Style::kAccent:
      return "\033[36m";
    case Style::kPlain:
      break;
  }
  return "";
}

// The first `count` code points.
std::string Prefix(const std::string& text, int count) {
  size_t end = 0;
  while (end < text.size() && (count > 0 || !StartsCodePoint(text[end]))) {
    if (StartsCodePoint(text[end])) --count;
    ++end;
  }
  return text.substr(0, end);
}

}  // namespace

Terminal Terminal::Standard() {
  Terminal terminal{std::cout, std::cerr};
  const bool out_is_terminal = isatty(STDOUT_FILENO) == 1;
  const char* no_color = std::getenv("NO_COLOR");
  const char* term = std::getenv("TERM");
  terminal.colour = out_is_terminal && (no_color == nullptr || *no_color == '\0') &&
                    !(term != nullptr && std::string(term) == "dumb");
  terminal.live = isatty(STDERR_FILENO) == 1;
  winsize size{};
  if (out_is_terminal && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0) terminal.width = size.ws_col;
  return terminal;
}

int DisplayWidth(const std::string& text) {
  int width = 0;
  for (const char byte : text) width += StartsCodePoint(byte) ? 1 : 0;
  return width;
}

Text::Text(std::string text, Style style) { Append(std::move(text), style); }

Text& Text::Append(std::string text, Style style) {
  if (!text.empty()) spans_.push_back({std::move(text), style});
  return *this;
}

Text& Text::Append(const Text& other) {
  spans_.insert(spans_.end(), other.spans_.begin(), other.spans_.end());
  return *this;
}

int Text::width() const {
  int width = 0;
  for (const Span& span : spans_) width += DisplayWidth(span.text);
  return width;
}

Text Text::Shortened(int width) const {
  if (this->width() <= width) return *this;
  Text result;
  int left = width - 1;
  for (const Span& span : spans_) {
    if (left <= 0) break;
    result.Append(Prefix(span.text, left), span.style);
    left -= DisplayWidth(span.text);
  }
  return result.Append(width > 0 ? "…" : "", Style::kDim);
}

std::string Text::Render(bool colour) const {
  std::string rendered;
  for (const Span& span : spans_) {
    const bool painted = colour && span.style != Style::kPlain;
    rendered += painted ? Escape(span.style) + span.text + "\033[0m" : span.text;
  }
  return rendered;
}

void PrintLine(Terminal& terminal, const Text& text) {
  const Text line = terminal.width > 0 ? text.Shortened(terminal.width) : text;
  terminal.out << line.Render(terminal.colour) << "\n";
}

}  // namespace lifescope
