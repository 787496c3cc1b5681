#include "server/app/plan_document.h"

#include <cstdint>
#include <limits>
#include <optional>
#include <vector>

#include "absl/strings/str_cat.h"
#include "google/protobuf/repeated_field.h"
#include "server/app/field_path.h"
#include "server/app/status_macros.h"

namespace lifescope {
namespace {

// The model's and the corpus' ids must mean the same tokens.
absl::Status CheckSameVocabulary(const CorpusArtifact& corpus, const ModelArtifact& model, const std::string& field) {
  const Vocabulary& theirs = corpus.corpus->vocabulary();
  const Vocabulary& ours = *model.vocabulary;
  bool same = theirs.size() == ours.size();
  for (int32_t id = 0; same && id < ours.size(); ++id) same = theirs.token(id) == ours.token(id);
  if (same) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat(field, ": corpus '", corpus.name, "' has another vocabulary than model '", model.name, "'"));
}

absl::Status FromCorpus(const v1::CorpusPerson& person, const ModelArtifact& model, const Registry& registry,
                        const std::string& field, PlannedDocument& planned) {
  const CorpusArtifact* corpus = nullptr;
  RETURN_IF_ERROR(CatchInField(Child(field, "corpus"), [&] { corpus = &registry.Corpus(person.corpus()); }));
  RETURN_IF_ERROR(CheckSameVocabulary(*corpus, model, Child(field, "corpus")));
  const std::optional<int64_t> index = corpus->corpus->Find(person.person_id());
  if (!index.has_value()) {
    return absl::NotFoundError(
        absl::StrCat(Child(field, "person_id"), ": no person ", person.person_id(), " in corpus '", corpus->name, "'"));
  }
  planned.corpus_digest = corpus->digest;
  return CatchInField(field, [&] { planned.document = corpus->corpus->DocumentAt(*index); });
}

absl::Status TokenIds(const google::protobuf::RepeatedPtrField<std::string>& names, const ModelArtifact& model,
                      const std::string& field, const std::string& list, std::vector<int32_t>& ids) {
  for (int i = 0; i < names.size(); ++i) {
    const std::optional<int32_t> id = model.vocabulary->Find(names[i]);
    if (!id.has_value()) {
      return InvalidField(Element(field, list, i),
                          absl::StrCat("no token '", names[i], "' in the vocabulary of model '", model.name, "'"));
    }
    ids.push_back(*id);
  }
  return absl::OkStatus();
}

absl::Status LayOutLife(const v1::InlineLife& life, const ModelArtifact& model, const std::string& field,
                        PlannedDocument& planned) {
  if (life.background().empty() && life.events().empty()) {
    return InvalidField(field, "empty, expected a background or at least one event");
  }
  std::vector<int32_t> background;
  RETURN_IF_ERROR(TokenIds(life.background(), model, field, "background", background));
  std::vector<Event> events;
  for (int i = 0; i < life.events_size(); ++i) {
    const v1::LifeEvent& event = life.events(i);
    const std::string path = Element(field, "events", i);
    if (event.tokens().empty()) return InvalidField(Child(path, "tokens"), "none, expected at least one");
    if (event.age() < 0) return InvalidField(Child(path, "age"), absl::StrCat(event.age(), ", expected at least 0"));
    if (i > 0 && event.abspos() < events.back().abspos) {
      return InvalidField(Child(path, "abspos"), absl::StrCat(event.abspos(), ", expected at least ",
                                                              events.back().abspos, " (events are oldest first)"));
    }
    events.push_back({event.abspos(), event.age(), {}});
    RETURN_IF_ERROR(TokenIds(event.tokens(), model, path, "tokens", events.back().tokens));
  }
  return CatchInField(field, [&] {
    planned.document = EncodeLife(0, background, events, std::numeric_limits<int32_t>::max()).document;
  });
}

absl::Status CheckRow(int size, int expected, const std::string& field) {
  if (size == expected) return absl::OkStatus();
  return InvalidField(field, absl::StrCat(size, " entries, expected ", expected, ", one per token"));
}

absl::Status CheckBelow(int32_t value, int64_t limit, const std::string& field, const char* what) {
  if (0 <= value && value < limit) return absl::OkStatus();
  return absl::OutOfRangeError(absl::StrCat(field, ": ", value, ", expected 0 <= ", what, " < ", limit));
}

absl::Status CopySlots(const v1::InlineSlots& slots, const ModelArtifact& model, const std::string& field,
                       PlannedDocument& planned) {
  const int length = slots.tokens_size();
  if (length == 0) return InvalidField(Child(field, "tokens"), "none, expected at least one");
  RETURN_IF_ERROR(CheckRow(slots.abspos_size(), length, Child(field, "abspos")));
  RETURN_IF_ERROR(CheckRow(slots.ages_size(), length, Child(field, "ages")));
  RETURN_IF_ERROR(CheckRow(slots.segments_size(), length, Child(field, "segments")));
  Document& document = planned.document;
  int32_t event = 0;
  for (int i = 0; i < length; ++i) {
    RETURN_IF_ERROR(CheckBelow(slots.tokens(i), model.vocabulary->size(), Element(field, "tokens", i), "token"));
    if (slots.tokens(i) == kPad) {
      return InvalidField(Element(field, "tokens", i), "0 ([PAD]), expected a real token: documents are not padded");
    }
    RETURN_IF_ERROR(CheckBelow(slots.segments(i), 4, Element(field, "segments", i), "segment"));
    document.event.push_back(event);
    // A separator closes its event; what follows is the next one.
    if (slots.tokens(i) == kSep) ++event;
  }
  document.token.assign(slots.tokens().begin(), slots.tokens().end());
  document.abspos.assign(slots.abspos().begin(), slots.abspos().end());
  document.age.assign(slots.ages().begin(), slots.ages().end());
  document.segment.assign(slots.segments().begin(), slots.segments().end());
  return absl::OkStatus();
}

}  // namespace

absl::Status PlanDocument(const v1::Document& document, const ModelArtifact& model, const Registry& registry,
                          const std::string& field, PlannedDocument& planned) {
  switch (document.source_case()) {
    case v1::Document::kPerson:
      RETURN_IF_ERROR(FromCorpus(document.person(), model, registry, Child(field, "person"), planned));
      break;
    case v1::Document::kLife:
      RETURN_IF_ERROR(LayOutLife(document.life(), model, Child(field, "life"), planned));
      break;
    case v1::Document::kSlots:
      RETURN_IF_ERROR(CopySlots(document.slots(), model, Child(field, "slots"), planned));
      break;
    case v1::Document::SOURCE_NOT_SET:
      return InvalidField(field, "empty, expected person, life or slots");
  }
  for (int i = 0; i < document.mask_positions_size(); ++i) {
    RETURN_IF_ERROR(CheckBelow(document.mask_positions(i), planned.document.length(),
                               Element(field, "mask_positions", i), "position"));
    planned.document.token[document.mask_positions(i)] = kMask;
  }
  return absl::OkStatus();
}

}  // namespace lifescope
