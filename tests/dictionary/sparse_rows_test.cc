// Products with sparse activations against the same with dense ones, in plain ATen.
#include "server/dictionary/sparse_rows.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <vector>

#include "tests/dictionary/random_tensors.h"

namespace lifescope {
namespace {

class SparseRowsTest : public testing::TestWithParam<at::ScalarType> {
 protected:
  // 700 rows are sorted in several parts; some rows and some features are empty.
  SparseRowsTest() {
    dense_ = random_.Normal({700, 301}, GetParam());
    dense_.masked_fill_(random_.Uniform({700, 301}, 0, 1) < 0.9, 0);
    dense_.narrow(0, 5, 3).zero_();
    dense_.select(0, 699).zero_();
    dense_.narrow(1, 300, 1).zero_();
    dense_.select(1, 0).fill_(1.5);
    dense_[9][7] = GetParam() == at::kFloat ? 1e-41 : 1e-310;  // denormal
    active_ = KeepNonZero(dense_);
  }
  at::Tensor Normal(at::IntArrayRef sizes) { return random_.Normal(sizes, GetParam()); }
  void ExpectClose(const at::Tensor& actual, const at::Tensor& expected) const {
    const double tolerance = GetParam() == at::kFloat ? 1e-4 : 1e-12;
    EXPECT_LE((actual.to(at::kDouble) - expected).abs().max().item<double>(), tolerance);
  }

  RandomTensors random_{5};
  at::Tensor dense_;
  SparseActivations active_;
};

TEST_P(SparseRowsTest, TimesDense) {
  for (const int64_t width : {1, 17, 280}) {
    const at::Tensor matrix = Normal({301, width});
    ExpectClose(SparseTimesDense(active_, matrix), dense_.to(at::kDouble).mm(matrix.to(at::kDouble)));
  }
}

TEST_P(SparseRowsTest, DotProductsOfActiveEntries) {
  for (const int64_t width : {1, 17, 280}) {
    const at::Tensor left = Normal({700, width}), right = Normal({301, width});
    const at::Tensor all = left.to(at::kDouble).mm(right.to(at::kDouble).t());
    ExpectClose(DotProducts(active_, left, right), all.masked_select(dense_ != 0));
  }
}

TEST_P(SparseRowsTest, GroupedByFeature) {
  const EntriesByFeature by_feature = GroupByFeature(active_);
  const at::Tensor where = dense_.t().nonzero();  // by feature, then row
  EXPECT_TRUE(at::equal(at::tensor(by_feature.rows).to(at::kLong), where.select(1, 1)));
  const at::Tensor counts = (dense_ != 0).sum(0);
  EXPECT_TRUE(at::equal(at::tensor(by_feature.offsets).slice(0, 1), counts.cumsum(0)));
  EXPECT_EQ(by_feature.offsets.front(), 0);
  const at::Tensor values = active_.values.index_select(0, at::tensor(by_feature.entries));
  EXPECT_TRUE(at::equal(values, dense_.t().masked_select(dense_.t() != 0)));
}

TEST_P(SparseRowsTest, SumsByFeatureAreAdded) {
  const EntriesByFeature by_feature = GroupByFeature(active_);
  const at::Tensor matrix = Normal({700, 33}), start = Normal({301, 33}), start_sums = Normal({301});
  at::Tensor out = start.clone(), sums = start_sums.clone();
  AddTransposedTimesDense(by_feature, active_.values, matrix, out);
  AddSumsByFeature(by_feature, active_.values, sums);
  ExpectClose(out, start.to(at::kDouble) + dense_.to(at::kDouble).t().mm(matrix.to(at::kDouble)));
  ExpectClose(sums, start_sums.to(at::kDouble) + dense_.to(at::kDouble).sum(0));
}

TEST_P(SparseRowsTest, ThreadsChangeNothing) {
  const at::Tensor matrix = Normal({700, 33});
  const int threads = at::get_num_threads();
  at::Tensor one = at::zeros({301, 33}, GetParam()), two = one.clone();
  at::set_num_threads(1);
  AddTransposedTimesDense(GroupByFeature(active_), active_.values, matrix, one);
  at::set_num_threads(2);
  AddTransposedTimesDense(GroupByFeature(active_), active_.values, matrix, two);
  at::set_num_threads(threads);
  EXPECT_TRUE(at::equal(one, two));
}

TEST_P(SparseRowsTest, NothingActive) {
  const SparseActivations none = KeepNonZero(at::zeros({3, 5}, GetParam()));
  const EntriesByFeature by_feature = GroupByFeature(none);
  EXPECT_EQ(by_feature.offsets, std::vector<int64_t>(6, 0));
  EXPECT_TRUE(at::equal(SparseTimesDense(none, Normal({5, 4})), at::zeros({3, 4}, GetParam())));
  EXPECT_EQ(GroupByFeature(KeepNonZero(at::zeros({0, 5}, GetParam()))).offsets, std::vector<int64_t>(6, 0));
}

INSTANTIATE_TEST_SUITE_P(Dtypes, SparseRowsTest, testing::Values(at::kFloat, at::kDouble));

}  // namespace
}  // namespace lifescope
