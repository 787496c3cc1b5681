// The options that name lives: --person, --life, --corpus, --mask.
#pragma once

#include <string>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/status/statusor.h"
#include "lifescope/v1/document.pb.h"

namespace lifescope {

// Where one or more documents come from.
struct DocumentSource {
  std::string person_option = "--person";
  std::string persons;
  std::string life_option = "--life";
  std::vector<std::string> lives;
};

// What is said once for all documents of a call.
struct DocumentOptions {
  std::string corpus;
  std::string mask;
};

// Adds --<prefix>person and --<prefix>life, which exclude each other, to the help group `what`. `ids` is how the help
// writes persons.
void AddDocumentSource(CLI::App& verb, DocumentSource& source, const std::string& prefix, const std::string& what,
                       const std::string& ids = "ID");
void AddDocumentOptions(CLI::App& verb, DocumentOptions& options);

// Persons in the order given, then lives. INVALID_ARGUMENT names the option, file and field.
absl::StatusOr<std::vector<v1::Document>> ReadDocuments(const DocumentSource& source, const DocumentOptions& options);
// As ReadDocuments, where the verb takes one.
absl::StatusOr<v1::Document> ReadDocument(const DocumentSource& source, const DocumentOptions& options);

// "person 17 of demo", "a life of 12 events", "slots of 143 positions".
std::string DescribeDocument(const v1::Document& document);

}  // namespace lifescope
