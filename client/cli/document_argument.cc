#include "client/cli/document_argument.h"

#include <limits>

#include "absl/strings/str_cat.h"
#include "client/cli/message_json.h"
#include "client/cli/number_list.h"

namespace lifescope {
namespace {

// The file holds a Document or, shorter, an InlineLife; they have no field in common.
absl::StatusOr<v1::Document> ReadLife(const std::string& path) {
  const absl::StatusOr<std::string> text = ReadInput(path);
  if (!text.ok()) return text.status();
  const absl::StatusOr<nlohmann::json> json = ParseJson(path, *text);
  if (!json.ok()) return json.status();
  const bool is_life = json->contains("background") || json->contains("events");
  v1::Document document;
  const absl::Status status =
      is_life ? FromJson(path, *json, *document.mutable_life()) : FromJson(path, *json, document);
  if (!status.ok()) return status;
  if (document.source_case() == v1::Document::SOURCE_NOT_SET) {
    return absl::InvalidArgumentError(
        absl::StrCat(path,
                     ": expected a life {\"background\": [...], \"events\": [...]} or a document with "
                     "\"person\", \"life\" or \"slots\""));
  }
  return document;
}

}  // namespace

void AddDocumentSource(CLI::App& verb, DocumentSource& source, const std::string& prefix, const std::string& what,
                       const std::string& ids) {
  source.person_option = absl::StrCat("--", prefix, "person");
  source.life_option = absl::StrCat("--", prefix, "life");
  CLI::Option* persons = verb.add_option(source.person_option, source.persons, "Person of a corpus, by id");
  CLI::Option* lives = verb.add_option(source.life_option, source.lives,
                                       "JSON file: a life as dated events, or a Document ('-': stdin)");
  persons->option_text(ids)->group(what);
  lives->option_text("FILE")->group(what)->allow_extra_args(false)->excludes(persons);
}

void AddDocumentOptions(CLI::App& verb, DocumentOptions& options) {
  verb.add_option("--corpus", options.corpus, "Corpus of the persons (default: the only one)")->option_text("NAME");
  verb.add_option("--mask", options.mask, "Positions whose token becomes [MASK], such as 12,13")->option_text("LIST");
}

absl::StatusOr<std::vector<v1::Document>> ReadDocuments(const DocumentSource& source, const DocumentOptions& options) {
  std::vector<v1::Document> documents;
  if (!source.persons.empty()) {
    const auto persons = ParseNumbers(source.person_option, source.persons, std::numeric_limits<int64_t>::max());
    if (!persons.ok()) return persons.status();
    for (const int64_t person : *persons) {
      v1::CorpusPerson* added = documents.emplace_back().mutable_person();
      added->set_corpus(options.corpus);
      added->set_person_id(person);
    }
  }
  for (const std::string& path : source.lives) {
    absl::StatusOr<v1::Document> document = ReadLife(path);
    if (!document.ok()) return document.status();
    documents.push_back(*std::move(document));
  }
  if (documents.empty()) {
    return absl::InvalidArgumentError(absl::StrCat("name a life: ", source.person_option, " or ", source.life_option));
  }
  if (options.mask.empty()) return documents;
  const auto mask = ParseIndices("--mask", options.mask);
  if (!mask.ok()) return mask.status();
  for (v1::Document& document : documents) document.mutable_mask_positions()->Add(mask->begin(), mask->end());
  return documents;
}

absl::StatusOr<v1::Document> ReadDocument(const DocumentSource& source, const DocumentOptions& options) {
  absl::StatusOr<std::vector<v1::Document>> documents = ReadDocuments(source, options);
  if (!documents.ok()) return documents.status();
  if (documents->size() != 1) {
    return absl::InvalidArgumentError(absl::StrCat(source.person_option, " and ", source.life_option,
                                                   ": expected one life, found ", documents->size()));
  }
  return std::move(documents->front());
}

std::string DescribeDocument(const v1::Document& document) {
  switch (document.source_case()) {
    case v1::Document::kPerson: {
      const std::string& corpus = document.person().corpus();
      return absl::StrCat("person ", document.person().person_id(), corpus.empty() ? "" : " of ", corpus);
    }
    case v1::Document::kLife:
      return absl::StrCat("a life of ", document.life().events_size(), " events");
    case v1::Document::kSlots:
      return absl::StrCat("slots of ", document.slots().tokens_size(), " positions");
    case v1::Document::SOURCE_NOT_SET:
      break;
  }
  return "no document";
}

}  // namespace lifescope
