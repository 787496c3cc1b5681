#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/cli/alignment_argument.h"
#include "client/cli/answers.h"
#include "client/cli/document_argument.h"
#include "client/cli/message_json.h"
#include "client/cli/session.h"
#include "client/cli/table.h"

namespace lifescope {
namespace {

struct AlignOptions {
  DocumentSource base, donor;
  DocumentOptions documents;
  std::string model;
  v1::AlignmentRule rule = v1::ALIGNMENT_RULE_EVENT_DATE;
};

void Define(CLI::App& verb, AlignOptions& options) {
  AddDocumentSource(verb, options.base, "", "The life");
  AddDocumentSource(verb, options.donor, "donor-", "The other life");
  AddDocumentOptions(verb, options.documents);
  AddAlignmentRule(verb, options.rule);
  verb.add_option("--model", options.model, "Model (default: the only one)")->option_text("NAME");
  verb.footer(R"(Example:
  lifescope align --person 17 --donor-person 21 --align date
                                                     which positions a patch between two lives would pair)");
}

// "3,5-9": ascending positions, as --at takes them.
std::string Spans(const google::protobuf::RepeatedField<int32_t>& positions) {
  std::vector<std::string> spans;
  for (int i = 0; i < positions.size();) {
    int last = i;
    while (last + 1 < positions.size() && positions.Get(last + 1) == positions.Get(last) + 1) ++last;
    spans.push_back(last == i ? absl::StrCat(positions.Get(i))
                              : absl::StrCat(positions.Get(i), "-", positions.Get(last)));
    i = last + 1;
  }
  return absl::StrJoin(spans, ",");
}

absl::Status RunAlign(const AlignOptions& options, Session& session) {
  const absl::StatusOr<v1::Document> base = ReadDocument(options.base, options.documents);
  if (!base.ok()) return base.status();
  const absl::StatusOr<v1::Document> donor = ReadDocument(options.donor, options.documents);
  if (!donor.ok()) return donor.status();
  v1::AlignDocumentsRequest request;
  request.set_model(options.model);
  *request.mutable_base() = *base;
  *request.mutable_donor() = *donor;
  request.set_rule(options.rule);
  const absl::StatusOr<v1::AlignDocumentsResponse> response = session.client->AlignDocuments(request);
  if (!response.ok()) return response.status();
  if (session.output == OutputFormat::kJson) return PrintJson(*response, session.terminal);
  if (response->base_positions_size() != response->donor_positions_size()) {
    return absl::DataLossError("the answer pairs lists of unequal length");
  }
  PrintTitle(session, absl::StrCat(DescribeDocument(*base), " and ", DescribeDocument(*donor)),
             absl::StrCat(response->base_positions_size(), " positions have a partner"));
  Table table({{"position", Table::Align::kRight}, {"its partner", Table::Align::kRight}}, /*indent=*/2);
  for (int i = 0; i < response->base_positions_size(); ++i) {
    table.Add({absl::StrCat(response->base_positions(i)), absl::StrCat(response->donor_positions(i))});
  }
  table.Print(session.terminal);
  const auto print_alone = [&](const v1::Document& document, const auto& positions) {
    if (positions.empty()) return;
    PrintLine(session.terminal, absl::StrCat("  only in ", DescribeDocument(document), ": ", Spans(positions)));
  };
  print_alone(*base, response->base_only());
  print_alone(*donor, response->donor_only());
  return absl::OkStatus();
}

}  // namespace

void AddAlign(CLI::App& app, Action& action) {
  AddVerb<AlignOptions>(app, action, "align", "Which positions of two lives belong together", Define, RunAlign);
}

}  // namespace lifescope
