#include "server/training/masking.h"

#include <algorithm>
#include <numeric>
#include <utility>

namespace lifescope {
namespace {

// The rows [begin, end) of an event.
using Span = std::pair<int64_t, int64_t>;

std::vector<Span> EventSpans(const Document& document) {
  std::vector<Span> spans;
  for (int64_t i = 0; i < document.length(); ++i) {
    if (document.event[i] == 0) continue;
    if (spans.empty() || document.event[i] != document.event[i - 1]) spans.emplace_back(i, i);
    spans.back().second = i + 1;
  }
  return spans;
}

}  // namespace

SentenceOrder DrawSentenceOrder(Random& random) {
  const double p = random.Uniform();
  if (p < 0.05) return SentenceOrder::kReversed;
  if (p > 0.95) return SentenceOrder::kShuffled;
  return SentenceOrder::kOriginal;
}

void ReorderSentences(SentenceOrder order, Document& document, Random& random) {
  std::vector<Span> spans = EventSpans(document);
  if (order == SentenceOrder::kOriginal || spans.empty()) return;
  const int64_t first = spans.front().first;
  if (order == SentenceOrder::kReversed) {
    std::reverse(spans.begin(), spans.end());
  } else {
    random.Shuffle(spans);
  }
  std::vector<int32_t> token(document.token.begin(), document.token.begin() + first);
  std::vector<int32_t> event(document.event.begin(), document.event.begin() + first);
  int32_t number = 0;
  for (const auto& [begin, end] : spans) {
    ++number;
    token.insert(token.end(), document.token.begin() + begin, document.token.begin() + end);
    event.insert(event.end(), end - begin, number);
  }
  document.token = std::move(token);
  document.event = std::move(event);
}

bool IsMaskable(const Document& document, int64_t position) {
  const int32_t token = document.token[position];
  return position >= 1 && token != kSep && token != kUnk;
}

MaskedTargets MaskTokens(double ratio, int32_t vocabulary_size, Document& document, Random& random) {
  std::vector<int64_t> chosen;
  for (int64_t i = 0; i < document.length(); ++i) {
    if (IsMaskable(document, i)) chosen.push_back(i);
  }
  random.Shuffle(chosen);
  const auto wanted = static_cast<size_t>(static_cast<double>(document.length()) * ratio);
  chosen.resize(std::min(wanted, chosen.size()));

  MaskedTargets targets;
  targets.positions = chosen;
  std::sort(targets.positions.begin(), targets.positions.end());
  for (const int64_t position : targets.positions) targets.tokens.push_back(document.token[position]);

  const size_t unchanged = chosen.size() / 10;
  for (size_t i = unchanged; i < chosen.size(); ++i) {
    const bool random_token = i >= chosen.size() - unchanged;
    document.token[chosen[i]] =
        random_token ? kFirstContentToken + static_cast<int32_t>(random.Below(vocabulary_size - kFirstContentToken))
                     : kMask;
  }
  return targets;
}

}  // namespace lifescope
