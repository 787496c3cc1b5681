// What the server holds: models, dictionaries, heads, corpora, capabilities, document text.
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "server/app/app.h"
#include "server/app/convert.h"
#include "server/app/document_text.h"
#include "server/app/field_path.h"
#include "server/app/page.h"
#include "server/app/status_macros.h"
#include "server/runtime/device.h"
#include "server/runtime/registry.h"

namespace lifescope {
namespace {

// Those that runs can read and edit: points with one row per position, and the heads' person summaries.
void AddHookPoints(const ModelArtifact& model, const std::vector<HeadArtifact>& heads, v1::HookPoints& message) {
  const Hyperparameters& hyperparameters = model.transformer->hyperparameters();
  const auto add = [&](const HookPoint& point) {
    v1::HookPointDescription& description = *message.add_points();
    description.set_name(point.ToString());
    for (const int64_t size : ShapeAt(point, hyperparameters)) description.add_shape(static_cast<int32_t>(size));
    description.set_editable(true);
  };
  for (const HookPoint& point : AllHookPoints(hyperparameters)) {
    if (RowKindOf(point.site) == RowKind::kToken) add(point);
  }
  for (const HeadArtifact& head : heads) {
    if (head.model == model.name) add({Site::kPersonSummary, -1, head.name});
  }
}

}  // namespace

absl::Status App::ListModels(const v1::ListModelsRequest& request, v1::ListModelsResponse& response) {
  return Guard([&] {
    return FillPage(
        request, registry_->models(), [&](const ModelArtifact& model) { ToMessage(model, *response.add_models()); },
        response);
  });
}

absl::Status App::GetModel(const v1::GetModelRequest& request, v1::Model& response) {
  return Guard([&] { return CatchInField("model", [&] { ToMessage(registry_->Model(request.model()), response); }); });
}

absl::Status App::ListDictionaries(const v1::ListDictionariesRequest& request, v1::ListDictionariesResponse& response) {
  return Guard([&] {
    return FillPage(
        request, registry_->dictionaries(),
        [&](const DictionaryArtifact& dictionary) { ToMessage(dictionary, *response.add_dictionaries()); }, response);
  });
}

absl::Status App::GetDictionary(const v1::GetDictionaryRequest& request, v1::Dictionary& response) {
  return Guard([&] {
    return CatchInField("dictionary", [&] { ToMessage(registry_->Dictionary(request.dictionary(), ""), response); });
  });
}

absl::Status App::ListHeads(const v1::ListHeadsRequest& request, v1::ListHeadsResponse& response) {
  return Guard([&] {
    return FillPage(
        request, registry_->heads(), [&](const HeadArtifact& head) { ToMessage(head, *response.add_heads()); },
        response);
  });
}

absl::Status App::GetHead(const v1::GetHeadRequest& request, v1::Head& response) {
  return Guard([&] { return CatchInField("head", [&] { ToMessage(registry_->Head(request.head(), ""), response); }); });
}

absl::Status App::ListCorpora(const v1::ListCorporaRequest& request, v1::ListCorporaResponse& response) {
  return Guard([&] {
    return FillPage(
        request, registry_->corpora(),
        [&](const CorpusArtifact& corpus) { ToMessage(corpus, *response.add_corpora()); }, response);
  });
}

absl::Status App::GetCorpus(const v1::GetCorpusRequest& request, v1::Corpus& response) {
  return Guard(
      [&] { return CatchInField("corpus", [&] { ToMessage(registry_->Corpus(request.corpus()), response); }); });
}

absl::Status App::GetCapabilities(const v1::GetCapabilitiesRequest&, v1::Capabilities& response) {
  return Guard([&] {
    response.set_software_version(SoftwareVersion());
    response.set_torch_version(TorchVersion());
    response.set_device(options_.device);
    response.set_blas(BlasDescription());
    response.set_worker_count(options_.worker_count);
    response.set_threads_per_worker(options_.threads_per_worker);
    response.set_max_message_bytes(options_.max_message_bytes);
    response.set_max_queued_calls(options_.max_queued_calls);
    response.set_max_page_size(kMaxPageSize);
    response.set_max_documents_per_run(options_.max_documents_per_run);
    response.set_max_forwards_per_run(options_.max_forwards_per_run);
    for (const ModelArtifact& model : registry_->models()) {
      AddHookPoints(model, registry_->heads(), (*response.mutable_hook_points())[model.name]);
    }
    response.set_store(store_->backend());
    response.set_gives_text(options_.gives_text);
    response.set_uptime_seconds(absl::ToDoubleSeconds(absl::Now() - started_at_));
    return absl::OkStatus();
  });
}

absl::Status App::GetDocument(const v1::GetDocumentRequest& request, CallContext& call, v1::DocumentText& response) {
  return Guard([&]() -> absl::Status {
    RETURN_IF_ERROR(CheckMayGiveText());
    const CorpusArtifact* corpus = nullptr;
    RETURN_IF_ERROR(CatchInField("person.corpus", [&] { corpus = &registry_->Corpus(request.person().corpus()); }));
    const std::optional<int64_t> index = corpus->corpus->Find(request.person().person_id());
    if (!index.has_value()) {
      return absl::NotFoundError(absl::StrCat("person.person_id: no person ", request.person().person_id(),
                                              " in corpus '", corpus->name, "'"));
    }
    RETURN_IF_ERROR(AuditText("GetDocument", corpus->digest, {request.person().person_id()}, call));
    ToText(*corpus->corpus, *index, 0, std::numeric_limits<int32_t>::max(), response);
    return absl::OkStatus();
  });
}

absl::Status App::CheckMayGiveText() const {
  if (options_.gives_text) return absl::OkStatus();
  return absl::PermissionDeniedError("this server gives no document text (lifescoped serve --no-text)");
}

absl::Status App::AuditText(const std::string& action, const std::string& corpus_digest,
                            std::vector<int64_t> person_ids, const CallContext& call) {
  AuditRecord record;
  record.principal = call.principal;
  record.action = action;
  record.corpus_digest = corpus_digest;
  record.person_ids = std::move(person_ids);
  record.created_at = absl::Now();
  const absl::Status written = store_->AppendAudit(record);
  if (written.ok()) return written;
  return absl::UnavailableError(
      absl::StrCat("the audit log cannot be written (", written.message(), "), so no text is given; retry"));
}

}  // namespace lifescope
