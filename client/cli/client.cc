#include "client/cli/client.h"

#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>

#include <algorithm>
#include <optional>
#include <random>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "client/cli/progress.h"

namespace lifescope {
namespace {

constexpr int kMaxMessageBytes = 64 << 20;
constexpr int kMaxAttempts = 5;
constexpr absl::Duration kFirstBackoff = absl::Milliseconds(200);
constexpr char kPushback[] = "grpc-retry-pushback-ms";
// Whose fault a Status is: payloads, so that it can pass through code that knows nothing of it.
constexpr char kFromServer[] = "lifescope/from-server";
constexpr char kUnreachable[] = "lifescope/unreachable";

std::string WithPort(const std::string& server) {
  const bool has_scheme_or_port = absl::StrContains(server, ":");
  return has_scheme_or_port ? server : absl::StrCat(server, ":50051");
}

bool IsLocal(const std::string& server) {
  return absl::StartsWith(server, "127.") || absl::StartsWith(server, "localhost") ||
         absl::StartsWith(server, "[::1]") || absl::StartsWith(server, "unix:");
}

std::shared_ptr<grpc::Channel> MakeChannel(const std::string& server) {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(kMaxMessageBytes);
  arguments.SetMaxSendMessageSize(kMaxMessageBytes);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 30'000);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 10'000);
  arguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  if (IsLocal(server)) arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  return grpc::CreateCustomChannel(server, grpc::InsecureChannelCredentials(), arguments);
}

// Metadata is ASCII.
std::string PrintableAscii(std::string text) {
  std::replace_if(
      text.begin(), text.end(), [](char c) { return c < ' ' || c > '~'; }, '?');
  return text;
}

std::optional<absl::Duration> Pushback(const grpc::ClientContext& context) {
  const auto& trailer = context.GetServerTrailingMetadata();
  const auto found = trailer.find(kPushback);
  int64_t milliseconds = 0;
  if (found == trailer.end()) return std::nullopt;
  const std::string text(found->second.data(), found->second.size());
  if (!absl::SimpleAtoi(text, &milliseconds) || milliseconds < 0) return std::nullopt;
  return absl::Milliseconds(milliseconds);
}

// How long to wait before the next attempt, if one makes sense.
std::optional<absl::Duration> RetryAfter(const grpc::Status& status, const grpc::ClientContext& context, int attempts) {
  const std::optional<absl::Duration> pushback = Pushback(context);
  if (status.error_code() == grpc::StatusCode::RESOURCE_EXHAUSTED) return pushback;
  if (status.error_code() != grpc::StatusCode::UNAVAILABLE) return std::nullopt;
  return pushback.value_or(kFirstBackoff * (1 << (attempts - 1)));
}

absl::Status ToStatus(const grpc::Status& status, const std::string& server, bool answered) {
  const auto code = static_cast<absl::StatusCode>(status.error_code());
  const std::string message =
      answered ? status.error_message()
               : absl::StrCat("cannot reach a server at ", server, " (", status.error_message(), ")");
  absl::Status result(code, message);
  result.SetPayload(answered ? kFromServer : kUnreachable, absl::Cord());
  return result;
}

}  // namespace

ExitCode ExitCodeOf(const absl::Status& status) {
  if (status.ok()) return kExitOk;
  if (status.GetPayload(kUnreachable).has_value()) return kExitUnreachable;
  if (status.GetPayload(kFromServer).has_value()) return kExitRefused;
  return absl::IsInvalidArgument(status) ? kExitUsage : kExitRefused;
}

std::string Advice(const absl::Status& status) {
  switch (ExitCodeOf(status)) {
    case kExitUnreachable:
      return "start one with `lifescoped serve --home DIR`, or name one with --server HOST:PORT or LIFESCOPE_SERVER";
    case kExitUsage:
      return "`lifescope VERB --help` shows examples";
    default:
      break;
  }
  switch (status.code()) {
    case absl::StatusCode::kInvalidArgument:
      return "mend what the message names; `lifescope VERB --help` shows examples";
    case absl::StatusCode::kNotFound:
      return "`lifescope models`, `dictionaries`, `heads` and `corpora` list what the server holds";
    case absl::StatusCode::kOutOfRange:
      return "`lifescope dictionaries` says how many features there are";
    case absl::StatusCode::kAlreadyExists:
      return "choose another request id";
    case absl::StatusCode::kFailedPrecondition:
      return "choose a model and a dictionary or head that belong together: `lifescope dictionaries`, `heads`";
    case absl::StatusCode::kResourceExhausted:
      return "ask for less at once, or later; `lifescope status` shows the limits";
    case absl::StatusCode::kUnavailable:
      return "nothing was stored; ask again in a while";
    case absl::StatusCode::kDeadlineExceeded:
      return "give it more time with --timeout SECONDS";
    case absl::StatusCode::kPermissionDenied:
      return "this server gives no text of lives";
    case absl::StatusCode::kUnimplemented:
      return "client and server are of different versions: `lifescope status`";
    case absl::StatusCode::kInternal:
    case absl::StatusCode::kUnknown:
      return "the server's log says more";
    default:
      return "";
  }
}

Client::Client(const ClientOptions& options, Terminal& terminal)
    : options_(options),
      terminal_(terminal),
      channel_(MakeChannel(WithPort(options.server))),
      catalog_(v1::CatalogService::NewStub(channel_)),
      features_(v1::FeatureService::NewStub(channel_)),
      runs_(v1::RunService::NewStub(channel_)),
      analyses_(v1::AnalysisService::NewStub(channel_)) {}

// An UNAVAILABLE may come from the server or from a connection that was never made.
bool Client::ServerAnswered(const grpc::ClientContext& context, const grpc::Status& status) {
  const bool connected =
      channel_->GetState(false) == GRPC_CHANNEL_READY || !context.GetServerTrailingMetadata().empty();
  was_connected_ |= connected;
  const bool may_be_local = status.error_code() == grpc::StatusCode::UNAVAILABLE ||
                            status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED;
  return connected || !may_be_local;
}

absl::Status Client::Perform(const std::string& what, absl::Duration timeout, const Attempt& attempt) {
  const absl::Time deadline = absl::Now() + timeout;
  Progress progress(terminal_, what);
  for (int attempts = 1;; ++attempts) {
    grpc::ClientContext context;
    context.set_deadline(absl::ToChronoTime(deadline));
    context.AddMetadata("lifescope-principal", PrintableAscii(options_.principal));
    const grpc::Status status = attempt(context, progress);
    const bool answered = ServerAnswered(context, status);
    if (status.ok()) return absl::OkStatus();
    const std::optional<absl::Duration> wait = RetryAfter(status, context, attempts);
    // A server that was never there is not worth waiting for; one that went away may be on its way back.
    if (!was_connected_ || !wait || attempts == kMaxAttempts || absl::Now() + *wait > deadline) {
      return ToStatus(status, WithPort(options_.server), answered);
    }
    absl::SleepFor(*wait);
  }
}

template <typename Response, typename Stub, typename Request>
absl::StatusOr<Response> Client::Call(const std::string& what, Stub& stub,
                                      grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Response*),
                                      const Request& request) {
  Response response;
  const absl::Status status = Perform(what, options_.timeout, [&](grpc::ClientContext& context, Progress&) {
    return (stub.*method)(&context, request, &response);
  });
  if (!status.ok()) return status;
  return response;
}

absl::StatusOr<v1::Capabilities> Client::GetCapabilities() {
  return Call("asking the server", *catalog_, &v1::CatalogService::Stub::GetCapabilities, v1::GetCapabilitiesRequest());
}
absl::StatusOr<v1::ListModelsResponse> Client::ListModels(const v1::ListModelsRequest& request) {
  return Call("listing models", *catalog_, &v1::CatalogService::Stub::ListModels, request);
}
absl::StatusOr<v1::Model> Client::GetModel(const v1::GetModelRequest& request) {
  return Call("finding the model", *catalog_, &v1::CatalogService::Stub::GetModel, request);
}
absl::StatusOr<v1::ListDictionariesResponse> Client::ListDictionaries(const v1::ListDictionariesRequest& request) {
  return Call("listing dictionaries", *catalog_, &v1::CatalogService::Stub::ListDictionaries, request);
}
absl::StatusOr<v1::ListHeadsResponse> Client::ListHeads(const v1::ListHeadsRequest& request) {
  return Call("listing heads", *catalog_, &v1::CatalogService::Stub::ListHeads, request);
}

absl::StatusOr<v1::ListCorporaResponse> Client::ListCorpora(const v1::ListCorporaRequest& request) {
  return Call("listing corpora", *catalog_, &v1::CatalogService::Stub::ListCorpora, request);
}
absl::StatusOr<v1::Corpus> Client::GetCorpus(const v1::GetCorpusRequest& request) {
  return Call("finding the corpus", *catalog_, &v1::CatalogService::Stub::GetCorpus, request);
}
absl::StatusOr<v1::DocumentText> Client::GetDocument(const v1::GetDocumentRequest& request) {
  return Call("fetching text", *catalog_, &v1::CatalogService::Stub::GetDocument, request);
}
absl::StatusOr<v1::Feature> Client::GetFeature(const v1::GetFeatureRequest& request) {
  return Call("looking up the feature", *features_, &v1::FeatureService::Stub::GetFeature, request);
}
absl::StatusOr<v1::ListFeaturesResponse> Client::ListFeatures(const v1::ListFeaturesRequest& request) {
  return Call("listing features", *features_, &v1::FeatureService::Stub::ListFeatures, request);
}
absl::StatusOr<v1::ListTopExamplesResponse> Client::ListTopExamples(const v1::ListTopExamplesRequest& request) {
  return Call("fetching examples", *features_, &v1::FeatureService::Stub::ListTopExamples, request);
}
absl::StatusOr<v1::RunResponse> Client::Run(const v1::RunRequest& request) {
  return Call("running the plan", *runs_, &v1::RunService::Stub::Run, request);
}
absl::StatusOr<v1::EncodeResponse> Client::Encode(const v1::EncodeRequest& request) {
  return Call("encoding", *runs_, &v1::RunService::Stub::Encode, request);
}
absl::StatusOr<v1::AblateFeaturesResponse> Client::AblateFeatures(const v1::AblateFeaturesRequest& request) {
  return Call("ablating", *runs_, &v1::RunService::Stub::AblateFeatures, request);
}
absl::StatusOr<v1::PatchActivationsResponse> Client::PatchActivations(const v1::PatchActivationsRequest& request) {
  return Call("patching", *runs_, &v1::RunService::Stub::PatchActivations, request);
}
absl::StatusOr<v1::AttributeResponse> Client::Attribute(const v1::AttributeRequest& request) {
  return Call("attributing", *analyses_, &v1::AnalysisService::Stub::Attribute, request);
}
absl::StatusOr<v1::FindCircuitResponse> Client::FindCircuit(const v1::FindCircuitRequest& request) {
  return Call("finding the circuit", *analyses_, &v1::AnalysisService::Stub::FindCircuit, request);
}
absl::StatusOr<v1::TestConceptResponse> Client::TestConcept(const v1::TestConceptRequest& request) {
  return Call("testing the concept", *analyses_, &v1::AnalysisService::Stub::TestConcept, request);
}
absl::StatusOr<v1::SweepResponse> Client::Sweep(const v1::SweepRequest& request,
                                                const std::function<void(const v1::SweepPart&)>& on_part) {
  v1::SweepResponse response;
  const auto attempt = [&](grpc::ClientContext& context, Progress& progress) {
    const std::unique_ptr<grpc::ClientReader<v1::SweepPart>> reader = analyses_->Sweep(&context, request);
    int64_t total = 0, done = 0;
    v1::SweepPart part;
    while (reader->Read(&part)) {
      if (part.has_header()) total = part.header().cell_count() - request.first_cell();
      done += part.cells().cells_size();
      progress.Count(done, total);
      if (part.has_response()) response = part.response();
      on_part(part);
    }
    return reader->Finish();
  };
  const absl::Status status = Perform("sweeping", std::max(options_.timeout, absl::Hours(24 * 7)), attempt);
  if (!status.ok()) return status;
  if (response.run_id().empty()) return absl::DataLossError("the sweep ended without its last part");
  return response;
}
absl::StatusOr<v1::AlignDocumentsResponse> Client::AlignDocuments(const v1::AlignDocumentsRequest& request) {
  return Call("aligning", *analyses_, &v1::AnalysisService::Stub::AlignDocuments, request);
}
absl::StatusOr<v1::ListRunsResponse> Client::ListRuns(const v1::ListRunsRequest& request) {
  return Call("listing runs", *runs_, &v1::RunService::Stub::ListRuns, request);
}
absl::StatusOr<v1::GetRunResponse> Client::GetRun(const v1::GetRunRequest& request) {
  return Call("fetching the run", *runs_, &v1::RunService::Stub::GetRun, request);
}

std::string NewRequestId() {
  std::random_device random;
  const auto bits16 = [&random] { return static_cast<unsigned>(random() & 0xFFFF); };
  return absl::StrFormat("%04x%04x-%04x-%04x-%04x-%04x%04x%04x", bits16(), bits16(), bits16(),
                         0x4000 | (bits16() & 0x0FFF), 0x8000 | (bits16() & 0x3FFF), bits16(), bits16(), bits16());
}

}  // namespace lifescope
