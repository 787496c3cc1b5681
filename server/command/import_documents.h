// The part of the verb `import` that reads processed documents.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "server/corpus/document_import.h"

namespace lifescope {

struct DocumentFlags {
  std::vector<std::string> paths;
  std::string vocabulary;
  std::string reference_date = "2008-01-01";
  bool whole_lives = false;
};

// --documents (instead of --tables), --vocabulary, --reference-date, --whole-lives.
void AddDocumentOptions(CLI::App& verb, DocumentFlags& flags);

// Writes the corpus folder and says what was found. `options`: what `import` has flags for besides.
void ImportDocuments(const std::string& folder, const DocumentFlags& flags, DocumentImportOptions options);

}  // namespace lifescope
