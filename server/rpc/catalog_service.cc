#include "lifescope/v1/catalog_service.grpc.pb.h"
#include "server/rpc/handle.h"
#include "server/rpc/services.h"

namespace lifescope {
namespace {

class CatalogServiceImpl final : public v1::CatalogService::Service {
 public:
  explicit CatalogServiceImpl(App& app) : app_(app) {}

  grpc::Status ListModels(grpc::ServerContext* context, const v1::ListModelsRequest* request,
                          v1::ListModelsResponse* response) override {
    return Handle("CatalogService.ListModels", context,
                  [&](CallContext&) { return app_.ListModels(*request, *response); });
  }
  grpc::Status GetModel(grpc::ServerContext* context, const v1::GetModelRequest* request,
                        v1::Model* response) override {
    return Handle("CatalogService.GetModel", context, [&](CallContext&) { return app_.GetModel(*request, *response); });
  }
  grpc::Status ListDictionaries(grpc::ServerContext* context, const v1::ListDictionariesRequest* request,
                                v1::ListDictionariesResponse* response) override {
    return Handle("CatalogService.ListDictionaries", context,
                  [&](CallContext&) { return app_.ListDictionaries(*request, *response); });
  }
  grpc::Status GetDictionary(grpc::ServerContext* context, const v1::GetDictionaryRequest* request,
                             v1::Dictionary* response) override {
    return Handle("CatalogService.GetDictionary", context,
                  [&](CallContext&) { return app_.GetDictionary(*request, *response); });
  }
  grpc::Status ListHeads(grpc::ServerContext* context, const v1::ListHeadsRequest* request,
                         v1::ListHeadsResponse* response) override {
    return Handle("CatalogService.ListHeads", context,
                  [&](CallContext&) { return app_.ListHeads(*request, *response); });
  }
  grpc::Status GetHead(grpc::ServerContext* context, const v1::GetHeadRequest* request, v1::Head* response) override {
    return Handle("CatalogService.GetHead", context, [&](CallContext&) { return app_.GetHead(*request, *response); });
  }
  grpc::Status ListCorpora(grpc::ServerContext* context, const v1::ListCorporaRequest* request,
                           v1::ListCorporaResponse* response) override {
    return Handle("CatalogService.ListCorpora", context,
                  [&](CallContext&) { return app_.ListCorpora(*request, *response); });
  }
  grpc::Status GetCorpus(grpc::ServerContext* context, const v1::GetCorpusRequest* request,
                         v1::Corpus* response) override {
    return Handle("CatalogService.GetCorpus", context,
                  [&](CallContext&) { return app_.GetCorpus(*request, *response); });
  }
  grpc::Status GetCapabilities(grpc::ServerContext* context, const v1::GetCapabilitiesRequest* request,
                               v1::Capabilities* response) override {
    return Handle("CatalogService.GetCapabilities", context,
                  [&](CallContext&) { return app_.GetCapabilities(*request, *response); });
  }
  grpc::Status GetDocument(grpc::ServerContext* context, const v1::GetDocumentRequest* request,
                           v1::DocumentText* response) override {
    return Handle("CatalogService.GetDocument", context,
                  [&](CallContext& call) { return app_.GetDocument(*request, call, *response); });
  }

 private:
  App& app_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeCatalogService(App& app) { return std::make_unique<CatalogServiceImpl>(app); }

}  // namespace lifescope
