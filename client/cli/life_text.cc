#include "client/cli/life_text.h"

#include <ostream>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"

namespace lifescope {
namespace {

constexpr char kSeparator[] = "[SEP]";

std::string DateOf(int32_t abspos, std::optional<absl::CivilDay> reference_date) {
  // abspos counts from 1 at the reference date.
  if (reference_date) return absl::FormatCivilTime(*reference_date + (abspos - 1));
  return absl::StrCat("day ", abspos);
}

void AddTokens(const google::protobuf::RepeatedPtrField<std::string>& tokens, int32_t abspos, int32_t age,
               int32_t event, v1::DocumentText& text) {
  for (const std::string& token : tokens) {
    text.add_tokens(token);
    text.add_abspos(abspos);
    text.add_ages(age);
    text.add_events(event);
  }
}

std::optional<absl::CivilDay> ReferenceDate(Session& session) {
  const absl::StatusOr<v1::Corpus> corpus = session.client->GetCorpus(v1::GetCorpusRequest());
  absl::CivilDay day;
  if (!corpus.ok() || !absl::ParseCivilTime(corpus->reference_date(), &day)) return std::nullopt;
  return day;
}

}  // namespace

LifeText::LifeText(v1::DocumentText text, const std::vector<int32_t>& mask_positions)
    : text_(std::move(text)), masked_(text_.tokens_size(), false) {
  const int32_t first = text_.first_position();
  for (const int32_t position : mask_positions) {
    if (position >= first && position - first < length()) masked_[position - first] = true;
  }
  for (int32_t index = 0; index < length(); ++index) {
    const int32_t number = index < text_.events_size() ? text_.events(index) : 0;
    if (events_.empty() || events_.back().number != number) {
      Event event;
      event.number = number;
      if (number < text_.event_dates_size()) event.date = text_.event_dates(number);
      if (index < text_.ages_size()) event.age = text_.ages(index);
      event.begin = first + index;
      events_.push_back(std::move(event));
    }
    events_.back().end = first + index + 1;
  }
}

LifeText LifeText::OfInlineLife(const v1::InlineLife& life, std::optional<absl::CivilDay> reference_date,
                                const std::vector<int32_t>& mask_positions) {
  google::protobuf::RepeatedPtrField<std::string> cls, separator;
  *cls.Add() = "[CLS]";
  *separator.Add() = kSeparator;
  v1::DocumentText text;
  text.add_event_dates("");
  AddTokens(cls, 0, 0, 0, text);
  AddTokens(life.background(), 0, 0, 0, text);
  AddTokens(separator, 0, 0, 0, text);
  for (const v1::LifeEvent& event : life.events()) {
    if (event.tokens().empty()) continue;
    const int32_t number = text.event_dates_size();
    text.add_event_dates(DateOf(event.abspos(), reference_date));
    AddTokens(event.tokens(), event.abspos(), event.age(), number, text);
    AddTokens(separator, event.abspos(), event.age(), number, text);
  }
  return LifeText(std::move(text), mask_positions);
}

const LifeText::Event* LifeText::EventAt(int32_t position) const {
  for (const Event& event : events_) {
    if (position >= event.begin && position < event.end) return &event;
  }
  return nullptr;
}

std::string LifeText::TokenAt(int32_t position) const {
  const int32_t index = position - text_.first_position();
  if (index < 0 || index >= length()) return "";
  return masked_[index] ? absl::StrCat("[MASK=", text_.tokens(index), "]") : text_.tokens(index);
}

Text LifeText::Line(const Event& event, int32_t marked) const {
  Text line;
  for (int32_t position = event.begin; position < event.end; ++position) {
    const std::string token = TokenAt(position);
    if (token == kSeparator && position != marked) continue;
    if (!line.empty()) line.Append(" ");
    const bool is_special = token.front() == '[';
    if (position == marked) {
      line.Append(absl::StrCat("«", token, "»"), Style::kBold);
    } else {
      line.Append(token, is_special ? Style::kDim : Style::kPlain);
    }
  }
  return line;
}

std::optional<LifeText> FetchText(Session& session, const v1::Document& document) {
  const std::vector<int32_t> mask(document.mask_positions().begin(), document.mask_positions().end());
  if (document.has_life()) return LifeText::OfInlineLife(document.life(), ReferenceDate(session), mask);
  if (!document.has_person()) return std::nullopt;
  v1::GetDocumentRequest request;
  *request.mutable_person() = document.person();
  absl::StatusOr<v1::DocumentText> text = session.client->GetDocument(request);
  if (text.ok()) return LifeText(*std::move(text), mask);
  session.terminal.err << "lifescope: no text of person " << document.person().person_id()
                       << ", positions only: " << std::string(text.status().message()) << "\n";
  return std::nullopt;
}

}  // namespace lifescope
