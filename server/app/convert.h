// Domain values to messages. Domain types never include .pb.h.
#pragma once

#include <ATen/core/Tensor.h>

#include "absl/time/time.h"
#include "google/protobuf/timestamp.pb.h"
#include "lifescope/v1/catalog_service.pb.h"
#include "lifescope/v1/feature_service.pb.h"
#include "lifescope/v1/run_service.pb.h"
#include "lifescope/v1/tensor.pb.h"
#include "server/intervention/run.h"
#include "server/runtime/registry.h"
#include "storage/records.h"

namespace lifescope {

// Copies a FLOAT32, FLOAT64, INT64 or INT32 tensor of any device and layout. Throws c10::ValueError on another type.
void ToMessage(const at::Tensor& tensor, v1::Tensor& message);
void ToMessage(const FeatureValue& value, v1::SparseFeatures& message);
void ToMessage(const RunResult& result, v1::RunResult& message);

void ToMessage(const ModelArtifact& model, v1::Model& message);
void ToMessage(const DictionaryArtifact& dictionary, v1::Dictionary& message);
void ToMessage(const HeadArtifact& head, v1::Head& message);
void ToMessage(const CorpusArtifact& corpus, v1::Corpus& message);

void ToMessage(const RunSummaryRecord& record, v1::RunSummary& message);
void ToMessage(const FeatureIndexRecord& record, v1::FeatureIndex& message);
void ToMessage(const FeatureRecord& record, const FeatureIndexRecord& index, v1::Feature& message);
void ToMessage(const ExampleRecord& record, v1::Example& message);

void ToMessage(absl::Time time, google::protobuf::Timestamp& message);

}  // namespace lifescope
