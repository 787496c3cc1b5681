#include "server/training/augmentation.h"

#include <algorithm>
#include <utility>
#include <vector>

namespace lifescope {
namespace {

constexpr int32_t kEarliestCut = 12;         // events
constexpr int32_t kEarliestCutAbspos = 732;  // two years after the published reference date
constexpr int32_t kLastAbspos = 4329;
constexpr int64_t kHiddenBackground = 4;

// Tokens without their [SEP].
struct DatedTokens {
  std::vector<int32_t> tokens;
  int32_t abspos = 0, age = 0, segment = 0;
};

struct Life {
  std::vector<int32_t> background;
  std::vector<DatedTokens> events;
};

Life Unpack(const Document& document) {
  Life life;
  for (int64_t i = 1; i < document.length(); ++i) {
    const int32_t event = document.event[i];
    const bool ends = i + 1 == document.length() || document.event[i + 1] != event;
    if (event == 0) {
      if (!ends) life.background.push_back(document.token[i]);
      continue;
    }
    if (document.event[i - 1] != event) {
      life.events.push_back({{}, document.abspos[i], document.age[i], document.segment[i]});
    }
    if (!ends) life.events.back().tokens.push_back(document.token[i]);
  }
  return life;
}

void AddRows(const std::vector<int32_t>& tokens, const DatedTokens& when, int32_t event, Document& document) {
  const size_t length = document.token.size() + tokens.size() + 1;
  document.token.insert(document.token.end(), tokens.begin(), tokens.end());
  document.token.push_back(kSep);
  document.abspos.resize(length, when.abspos);
  document.age.resize(length, when.age);
  document.segment.resize(length, when.segment);
  document.event.resize(length, event);
}

Document Pack(int64_t person_id, const Life& life) {
  Document document{person_id, {kCls}, {0}, {0}, {1}, {0}};
  AddRows(life.background, {{}, 0, 0, 1}, 0, document);
  int32_t event = 0;
  for (const DatedTokens& dated : life.events) AddRows(dated.tokens, dated, ++event, document);
  return document;
}

void ShuffleTokens(Life& life, Random& random) {
  for (DatedTokens& event : life.events) random.Shuffle(event.tokens);
}

void CutInTime(Life& life, Random& random) {
  const auto count = static_cast<int64_t>(life.events.size());
  if (count <= kEarliestCut) return;
  int64_t cut = kEarliestCut + random.Below(count - kEarliestCut);
  while (cut + 1 < count &&
         (life.events[cut].abspos == life.events[cut + 1].abspos || life.events[cut].abspos < kEarliestCutAbspos)) {
    ++cut;
  }
  life.events.resize(static_cast<size_t>(cut));
}

void Resample(Life& life, Random& random) {
  const auto count = static_cast<int64_t>(life.events.size());
  const int64_t fewest = count / 4, most = count / 2;  // exclusive, as drawn in the published code
  // Lives so short that this range is empty stop the published code; here they stay whole.
  const int64_t removed = fewest < most ? fewest + random.Below(most - fewest) : 0;
  std::vector<int64_t> order(life.events.size());
  for (int64_t i = 0; i < count; ++i) order[i] = i;
  random.Shuffle(order);
  std::sort(order.begin() + removed, order.end());
  std::vector<DatedTokens> kept;
  for (auto i = order.begin() + removed; i != order.end(); ++i) kept.push_back(std::move(life.events[*i]));
  life.events = std::move(kept);
  if (life.events.empty()) return;
  const int32_t shift = life.events.front().abspos - 1;
  for (DatedTokens& event : life.events) event.abspos = std::max(0, event.abspos - shift);
}

void AddNoise(Life& life, Random& random) {
  for (DatedTokens& event : life.events) {
    event.abspos = std::clamp(event.abspos - 5 + static_cast<int32_t>(random.Below(10)), 0, kLastAbspos);
  }
}

void DropTokens(double share, Life& life, Random& random) {
  for (DatedTokens& event : life.events) {
    if (random.Uniform() >= share || event.tokens.empty()) continue;
    event.tokens.erase(event.tokens.begin() + random.Below(static_cast<int64_t>(event.tokens.size())));
  }
}

void NumberSegments(int32_t first, Life& life) {
  for (DatedTokens& event : life.events) {
    event.segment = first;
    first = first % 3 + 1;
  }
}

}  // namespace

bool AugmentationOptions::any() const {
  return shuffle_within_events || timecut > 0 || resample > 0 || abspos_noise > 0 || hide_background > 0 ||
         drop_tokens > 0;
}

void Augment(const AugmentationOptions& options, Document& document, Random& random) {
  Life life = Unpack(document);
  if (life.events.empty()) return;
  const int32_t first_segment = life.events.front().segment;
  if (options.shuffle_within_events) ShuffleTokens(life, random);
  if (random.Uniform() < options.timecut) CutInTime(life, random);
  if (random.Uniform() < options.resample) Resample(life, random);
  if (random.Uniform() < options.abspos_noise) AddNoise(life, random);
  if (random.Uniform() < options.hide_background) life.background.assign(kHiddenBackground, kUnk);
  const bool drop = !options.gate_drop_tokens || random.Uniform() < options.drop_tokens;
  if (drop && options.drop_tokens > 0) DropTokens(options.drop_tokens, life, random);
  NumberSegments(first_segment, life);
  document = Pack(document.person_id, life);
}

void ShuffleWithinEvents(Document& document, Random& random) {
  Life life = Unpack(document);
  ShuffleTokens(life, random);
  document = Pack(document.person_id, life);
}

void Clip(int64_t max_length, Document& document) {
  if (document.length() <= max_length) return;
  Life life = Unpack(document);
  int64_t left = max_length - static_cast<int64_t>(life.background.size()) - 2;
  auto first = life.events.end();
  while (first != life.events.begin()) {
    left -= static_cast<int64_t>((first - 1)->tokens.size()) + 1;
    if (left < 0) break;
    --first;
  }
  life.events.erase(life.events.begin(), first);
  document = Pack(document.person_id, life);
}

}  // namespace lifescope
