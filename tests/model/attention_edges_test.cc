// Attention edges against sums written out over keys.
#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/model/transformer.h"
#include "tests/model/small_model.h"
#include "tests/support/golden.h"

namespace lifescope {
namespace {

using testing::HasSubstr;

constexpr int64_t kLayer = 1;

// Heads 0 to 2 are global, 3 and 4 local with a window of 5. Document 1 of the batch has no padding.
class EdgesTest : public testing::Test {
 protected:
  EdgesTest()
      : h_(SmallHyperparameters()),
        model_(h_, SmallWeights(h_, 1, at::kDouble)),
        batch_(RandomBatch(h_, {17, 20, 13}, 20, 2)),
        q_(At(Site::kQ)),
        k_(At(Site::kK)),
        v_(At(Site::kV)),
        phi_q_(At(Site::kPhiQ)),
        phi_k_(At(Site::kPhiK)),
        ksum_(At(Site::kKsum)) {}

  at::Tensor At(Site site, const std::vector<AttentionEdges>& edges = {}, const Hooks* edits = nullptr) const {
    at::Tensor activation;
    Hooks hooks = edits == nullptr ? Hooks() : *edits;
    hooks.Capture({site, kLayer}, &activation);
    ForwardOptions options;
    options.hooks = &hooks;
    options.edges = &edges;
    options.layer_count = kLayer + 1;
    model_.Forward(batch_, options);
    return activation;
  }

  // Rows of document d.
  at::Tensor RowsOf(int64_t d, const at::Tensor& x) const {
    return x.slice(0, batch_.offsets[d], batch_.offsets[d + 1]);
  }

  AttentionEdges Edges(int64_t d, int64_t head, const std::vector<int64_t>& queries) const {
    const int64_t count = static_cast<int64_t>(queries.size());
    return {d, kLayer, head, at::tensor(queries, at::kLong), at::ones({count, batch_.length(d)}, at::kDouble)};
  }

  // What the query's weights and the values give.
  at::Tensor Expected(const AttentionEdges& edges, int64_t i) const {
    const int64_t d = edges.document, query = edges.queries[i].item<int64_t>();
    const at::Tensor v = RowsOf(d, v_).select(1, edges.head);
    at::Tensor sum = at::zeros({h_.head_dim()}, at::kDouble);
    double weight = PaddingWeight(d, edges.head, query);
    for (int64_t key = 0; key < batch_.length(d); ++key) {
      const double w = Weight(d, edges.head, query, key) * edges.factors[i][key].item<double>();
      sum += w * v[key];
      weight += w;
    }
    return weight == 0 ? sum : sum / weight;
  }

  const c10::NoGradGuard no_grad_;
  const Hyperparameters h_;
  const Transformer model_;
  const PackedBatch batch_;
  const at::Tensor q_, k_, v_, phi_q_, phi_k_, ksum_;  // of the layer, unchanged

 private:
  bool IsGlobal(int64_t head) const { return head < h_.n_global(); }

  double Weight(int64_t d, int64_t head, int64_t query, int64_t key) const {
    if (IsGlobal(head)) {
      return RowsOf(d, phi_q_)[query][head].dot(RowsOf(d, phi_k_)[key][head]).item<double>();
    }
    if (std::abs(query / 5 - key / 5) > 1) return 0;
    const at::Tensor q = RowsOf(d, q_)[query][head], k = RowsOf(d, k_)[key][head];
    return std::exp(q.dot(k).item<double>() / std::sqrt(static_cast<double>(h_.head_dim())));
  }

  double PaddingWeight(int64_t d, int64_t head, int64_t query) const {
    if (!IsGlobal(head)) return 0;
    const at::Tensor padding = ksum_[d][head] - RowsOf(d, phi_k_).select(1, head).sum(0);
    const bool is_full = batch_.n_slots[d] == batch_.length(d);
    return is_full ? 0 : RowsOf(d, phi_q_)[query][head].dot(padding).item<double>();
  }
};

TEST_F(EdgesTest, EqualTheSumOverTheKeys) {
  std::vector<AttentionEdges> all;
  for (const auto& [d, head] : {std::pair<int64_t, int64_t>{0, 0}, {1, 1}, {2, 2}, {0, 3}, {1, 4}}) {
    AttentionEdges edges = Edges(d, head, {12, 0, 7});
    edges.factors.select(1, 4).fill_(0);
    edges.factors[0].slice(0, 8, 11).fill_(0);
    edges.factors[1].slice(0, 0, 12).fill_(0.25);
    edges.factors[2].fill_(0);  // all but one key
    edges.factors[2][6] = 3;
    all.push_back(edges);
  }
  const at::Tensor before = At(Site::kZ), after = At(Site::kZ, all);
  at::Tensor expected = before.clone();
  for (const AttentionEdges& edges : all) {
    for (int64_t i = 0; i < 3; ++i) {
      RowsOf(edges.document, expected)[edges.queries[i].item<int64_t>()][edges.head].copy_(Expected(edges, i));
    }
  }
  EXPECT_FALSE(at::allclose(before, after));
  ExpectClose(after, expected, 1e-12, 1e-12, "life2vec.identities");
  // Nothing else has changed.
  at::Tensor unchanged = after.clone();
  for (const AttentionEdges& edges : all) {
    for (int64_t i = 0; i < 3; ++i) {
      const int64_t query = edges.queries[i].item<int64_t>();
      RowsOf(edges.document, unchanged)[query][edges.head].copy_(RowsOf(edges.document, before)[query][edges.head]);
    }
  }
  EXPECT_TRUE(at::equal(unchanged, before));
}

TEST_F(EdgesTest, AQueryWithoutKeysGetsZeros) {
  for (const int64_t d : {0, 1}) {  // with padding and without
    for (const int64_t head : {1, 3}) {
      AttentionEdges edges = Edges(d, head, {6});
      edges.factors.zero_();
      const at::Tensor z = RowsOf(d, At(Site::kZ, {edges}))[6][head];
      EXPECT_EQ(z.abs().max().item<double>(), 0) << d << " " << head;
    }
  }
}

TEST_F(EdgesTest, AKeyThatNobodySeesLocallyIsAHole) {
  std::vector<AttentionEdges> edges;
  std::vector<int64_t> kept;
  for (int64_t row = 0; row < 17; ++row) {
    if (row != 8) kept.push_back(row);
  }
  for (const int64_t head : {3, 4}) {
    edges.push_back(Edges(0, head, kept));
    edges.back().layer = 0;
    edges.back().factors.select(1, 8).fill_(0);
  }
  const auto z = [](const Transformer& model, const PackedBatch& batch, const std::vector<AttentionEdges>& changed) {
    at::Tensor activation;
    Hooks hooks;
    hooks.Capture({Site::kZ, 0}, &activation);
    ForwardOptions options;
    options.hooks = &hooks;
    options.edges = &changed;
    options.layer_count = 1;
    model.Forward(batch, options);
    return activation.slice(1, 3, 5);
  };
  const PackedBatch whole = OneDocument(batch_, 0);
  const at::Tensor index = at::tensor(kept, at::kLong);
  PackedBatch holed = whole;
  for (at::Tensor* column : {&holed.token, &holed.abspos, &holed.age, &holed.segment, &holed.position}) {
    *column = column->index_select(0, index);
  }
  holed.offsets = {0, 16};
  ExpectClose(z(model_, whole, edges).index_select(0, index), z(model_, holed, {}), 1e-12, 1e-12,
              "life2vec.identities");
}

TEST_F(EdgesTest, HooksOfTheSumsHoldForTheEdgesToo) {
  Hooks doubled;
  doubled.Add({Site::kKv, kLayer}, [](const at::Tensor& x) { return 2 * x; });
  AttentionEdges edges = Edges(1, 2, {3, 9});
  edges.factors.select(1, 5).fill_(0);
  const at::Tensor kept = Expected(edges, 1), plain = RowsOf(1, At(Site::kZ))[9][2];
  // kv has been raised by the sum of all keys, of which one has a factor; the weights that divide are the changed ones.
  AttentionEdges none = edges;
  none.factors = at::ones_like(edges.factors);
  const auto weight = [&](const AttentionEdges& of) {
    const at::Tensor phi_q = RowsOf(1, phi_q_)[9][2], phi_k = RowsOf(1, phi_k_).select(1, 2);
    return (phi_k.matmul(phi_q) * of.factors[1]).sum();
  };
  const at::Tensor expected = kept + plain * weight(none) / weight(edges);
  ExpectClose(RowsOf(1, At(Site::kZ, {edges}, &doubled))[9][2], expected, 1e-12, 1e-12, "life2vec.identities");
}

TEST_F(EdgesTest, EdgesThatDoNotFitAreRefused) {
  AttentionEdges edges = Edges(2, 0, {1, 2});
  edges.document = 0;
  EXPECT_THAT(MessageOf<c10::ValueError>([&] { At(Site::kZ, {edges}); }), HasSubstr("[2, 13], expected [2, 17]"));
  edges.document = 3;
  EXPECT_THAT(MessageOf<c10::ValueError>([&] { At(Site::kZ, {edges}); }),
              HasSubstr("document 3, layer 1, head 0, expected one of 3 documents, 3 layers and 5 heads"));
}

}  // namespace
}  // namespace lifescope
