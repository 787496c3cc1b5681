// No method of the API is declared and not served.
#include <google/protobuf/descriptor.h>
#include <gtest/gtest.h>

#include "tests/rpc/rpc_fixture.h"

namespace lifescope {
namespace {

std::vector<std::string> MethodsOfTheApi() {
  // Naming the messages links their descriptors.
  const google::protobuf::FileDescriptor* files[] = {v1::RunRequest::descriptor()->file(),
                                                     v1::Model::descriptor()->file(), v1::Feature::descriptor()->file(),
                                                     v1::AttributeRequest::descriptor()->file()};
  std::vector<std::string> methods;
  for (const google::protobuf::FileDescriptor* file : files) {
    for (int s = 0; s < file->service_count(); ++s) {
      for (int m = 0; m < file->service(s)->method_count(); ++m) {
        methods.push_back("/" + file->service(s)->full_name() + "/" + file->service(s)->method(m)->name());
      }
    }
  }
  return methods;
}

TEST(EveryMethod, IsImplemented) {
  const TinyServer server;
  const std::vector<std::string> methods = MethodsOfTheApi();
  EXPECT_GE(methods.size(), 20u);
  for (const std::string& method : methods) {
    const grpc::Status status = server.CallRaw(method, "");
    EXPECT_NE(status.error_code(), grpc::StatusCode::UNIMPLEMENTED) << method;
    EXPECT_NE(status.error_code(), grpc::StatusCode::INTERNAL) << method << ": " << status.error_message();
  }
}

TEST(EveryMethod, AMissingOneIsUnimplemented) {
  const TinyServer server;
  EXPECT_EQ(server.CallRaw("/lifescope.v1.RunService/Nothing", "").error_code(), grpc::StatusCode::UNIMPLEMENTED);
}

TEST(EveryMethod, ReflectionIsServed) {
  const TinyServer server;
  // A stream called as a unary call: anything but UNIMPLEMENTED says that the service is there.
  const grpc::Status status = server.CallRaw("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", "");
  EXPECT_NE(status.error_code(), grpc::StatusCode::UNIMPLEMENTED) << status.error_message();
}

}  // namespace
}  // namespace lifescope
