// The happy path of every method, over a socket.
#include <gtest/gtest.h>

#include "tests/rpc/rpc_fixture.h"

namespace lifescope {
namespace {

class MethodsTest : public testing::Test {
 protected:
  template <typename Stub, typename Request, typename Response>
  Response Call(const std::unique_ptr<Stub>& stub,
                grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Response*), const Request& request) {
    grpc::ClientContext context;
    context.AddMetadata("lifescope-principal", "ada");
    Response response;
    const grpc::Status status = (stub.get()->*method)(&context, request, &response);
    EXPECT_TRUE(status.ok()) << status.error_code() << " " << status.error_message();
    return response;
  }

  const TinyServer server_;
};

TEST_F(MethodsTest, RunService) {
  const auto run = Call(server_.runs, &v1::RunService::Stub::Run, TinyRun());
  EXPECT_EQ(run.result().clean_size(), 2);
  EXPECT_EQ(run.provenance().principal(), "ada");
  EXPECT_EQ(Call(server_.runs, &v1::RunService::Stub::Encode, TinyEncode()).features_size(), 1);
  EXPECT_EQ(Call(server_.runs, &v1::RunService::Stub::AblateFeatures, TinyAblation()).effects_size(), 1);
  EXPECT_EQ(Call(server_.runs, &v1::RunService::Stub::PatchActivations, TinyPatch()).effects_size(), 1);
  EXPECT_EQ(Call(server_.runs, &v1::RunService::Stub::ListRuns, v1::ListRunsRequest()).runs_size(), 4);
  v1::GetRunRequest request;
  request.set_run_id(run.run_id());
  EXPECT_EQ(Call(server_.runs, &v1::RunService::Stub::GetRun, request).run_response().SerializeAsString(),
            run.SerializeAsString());
}

TEST_F(MethodsTest, CatalogService) {
  using Stub = v1::CatalogService::Stub;
  EXPECT_EQ(Call(server_.catalog, &Stub::ListModels, v1::ListModelsRequest()).models_size(), 1);
  EXPECT_EQ(Call(server_.catalog, &Stub::GetModel, v1::GetModelRequest()).name(), "tiny");
  EXPECT_EQ(Call(server_.catalog, &Stub::ListDictionaries, v1::ListDictionariesRequest()).dictionaries_size(), 1);
  EXPECT_EQ(Call(server_.catalog, &Stub::GetDictionary, v1::GetDictionaryRequest()).name(), "tiny_sae");
  EXPECT_EQ(Call(server_.catalog, &Stub::ListHeads, v1::ListHeadsRequest()).heads_size(), 1);
  EXPECT_EQ(Call(server_.catalog, &Stub::GetHead, v1::GetHeadRequest()).name(), "tiny_head");
  EXPECT_EQ(Call(server_.catalog, &Stub::ListCorpora, v1::ListCorporaRequest()).corpora_size(), 1);
  EXPECT_EQ(Call(server_.catalog, &Stub::GetCorpus, v1::GetCorpusRequest()).name(), "world");
  EXPECT_EQ(Call(server_.catalog, &Stub::GetCapabilities, v1::GetCapabilitiesRequest()).max_message_bytes(), 64 << 20);
  v1::GetDocumentRequest request;
  *request.mutable_person() = TinyPerson(0).person();
  EXPECT_EQ(Call(server_.catalog, &Stub::GetDocument, request).tokens_size(), TinyPersonLength(0));
  EXPECT_EQ(server_.tiny.OpenStoreAgain()->ListAudit({10, ""})->items.at(0).principal, "ada");
}

TEST_F(MethodsTest, FeatureService) {
  using Stub = v1::FeatureService::Stub;
  server_.tiny.StoreFeatureIndex();
  v1::GetFeatureRequest feature;
  feature.set_feature(2);
  EXPECT_EQ(Call(server_.features, &Stub::GetFeature, feature).feature(), 2);
  EXPECT_EQ(Call(server_.features, &Stub::ListFeatures, v1::ListFeaturesRequest()).features_size(), kTinyFeatures);
  EXPECT_EQ(Call(server_.features, &Stub::ListTopExamples, v1::ListTopExamplesRequest()).examples_size(), 3);
}

TEST_F(MethodsTest, TheSameRequestIdTwiceIsOneRun) {
  v1::EncodeRequest request = TinyEncode();
  request.set_request_id("once");
  const auto first = Call(server_.runs, &v1::RunService::Stub::Encode, request);
  const auto second = Call(server_.runs, &v1::RunService::Stub::Encode, request);
  EXPECT_EQ(first.SerializeAsString(), second.SerializeAsString());
  EXPECT_EQ(server_.tiny.StoredRunCount(), 1);
}

TEST_F(MethodsTest, AnUnnamedCallerIsAnonymous) {
  grpc::ClientContext context;
  v1::EncodeResponse response;
  ASSERT_TRUE(server_.runs->Encode(&context, TinyEncode(), &response).ok());
  EXPECT_EQ(response.provenance().principal(), "anonymous");
}

TEST_F(MethodsTest, AnOverlongPrincipalIsRefused) {
  grpc::ClientContext context;
  context.AddMetadata("lifescope-principal", std::string(200, 'a'));
  v1::EncodeResponse response;
  const grpc::Status status = server_.runs->Encode(&context, TinyEncode(), &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(status.error_message(), "lifescope-principal: 200 bytes, expected at most 128");
}

}  // namespace
}  // namespace lifescope
