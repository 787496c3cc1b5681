#include "server/intervention/edge_edit.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <map>
#include <set>
#include <tuple>
#include <utility>

#include "server/intervention/edit.h"
#include "server/intervention/target.h"

namespace lifescope {
namespace {

double FactorOf(const EditMode& mode) {
  const auto* scale = std::get_if<Scale>(&mode);
  return scale == nullptr ? 0 : scale->factor;
}

// Of one head. Queries and factors only; positions are those of the document in the run.
AttentionEdges CompileHead(const std::vector<const Edit*>& edits, const Document& document, const Transformer& model) {
  std::set<int64_t> all_queries;
  for (const Edit* edit : edits) {
    const std::vector<int64_t> queries = ResolvePositions(edit->positions, document, "positions");
    all_queries.insert(queries.begin(), queries.end());
  }
  const std::vector<int64_t> rows(all_queries.begin(), all_queries.end());
  at::Tensor factors = at::ones({static_cast<int64_t>(rows.size()), document.length()}, at::kDouble);
  auto factor = factors.accessor<double, 2>();
  for (const Edit* edit : edits) {
    const std::vector<int64_t> keys = ResolvePositions(std::get<EdgeTarget>(edit->target).keys, document, "keys");
    for (const int64_t query : ResolvePositions(edit->positions, document, "positions")) {
      const int64_t i = std::lower_bound(rows.begin(), rows.end(), query) - rows.begin();
      for (const int64_t key : keys) factor[i][key] *= FactorOf(edit->mode);
    }
  }
  AttentionEdges edges;
  edges.queries = IndexTensor(rows, model.device());
  edges.factors = factors.to(model.device(), model.dtype());
  return edges;
}

// The same edges between the rows of an edited document; positions that are gone have none.
AttentionEdges MoveEdges(const AttentionEdges& edges, const DocumentVariant& variant) {
  const at::Tensor positions = edges.queries.to(at::kCPU);
  std::vector<int64_t> kept, queries;
  for (int64_t i = 0; i < positions.size(0); ++i) {
    const int64_t query = variant.RowOf(positions[i].item<int64_t>());
    if (query < 0) continue;
    kept.push_back(i);
    queries.push_back(query);
  }
  AttentionEdges moved;
  moved.queries = IndexTensor(queries, edges.queries.device());
  moved.factors = edges.factors.index_select(0, IndexTensor(kept, edges.factors.device()))
                      .index_select(1, IndexTensor(variant.original, edges.factors.device()));
  return moved;
}

}  // namespace

std::vector<AttentionEdges> CompileEdges(const Run& run, const Intervention& intervention, int64_t document,
                                         const DocumentVariant* variant, int64_t row, const Transformer& model) {
  std::map<std::pair<int64_t, int64_t>, std::vector<const Edit*>> by_head;
  for (const Edit& edit : intervention.edits) {
    const auto* target = std::get_if<EdgeTarget>(&edit.target);
    if (target == nullptr || !Covers(edit.documents, document) || FactorOf(edit.mode) == 1) continue;
    by_head[{target->layer, target->head}].push_back(&edit);
  }
  std::vector<AttentionEdges> compiled;
  for (const auto& [head, edits] : by_head) {
    AttentionEdges edges = CompileHead(edits, run.documents[document], model);
    if (variant != nullptr) edges = MoveEdges(edges, *variant);
    edges.document = row;
    std::tie(edges.layer, edges.head) = head;
    if (edges.queries.numel() > 0) compiled.push_back(std::move(edges));
  }
  return compiled;
}

}  // namespace lifescope
