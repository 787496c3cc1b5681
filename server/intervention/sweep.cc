#include "server/intervention/sweep.h"

#include <c10/util/Exception.h>

#include <numeric>
#include <utility>

#include "server/intervention/target.h"

namespace lifescope {
namespace {

// A column: its name, and the positions of the base that it covers; none: all.
struct Column {
  std::string name;
  std::vector<int64_t> positions;
};

class SweepMaker {
 public:
  SweepMaker(const SweepOptions& options, const std::vector<Document>& documents, const Hyperparameters& h)
      : options_(options), base_(documents.at(static_cast<size_t>(options.base))), h_(h) {
    if (options.donor < 0) return;
    Alignment alignment = Align(base_, documents.at(static_cast<size_t>(options.donor)), options.alignment);
    partner_.assign(static_cast<size_t>(base_.length()), -1);
    for (const auto& [base, donor] : alignment.pairs) partner_[static_cast<size_t>(base)] = donor;
    sweep_.base_only = std::move(alignment.base_only);
    sweep_.donor_only = std::move(alignment.donor_only);
  }

  Sweep Make() {
    switch (options_.grid) {
      case SweepGrid::kLayerByEvent:
        MakeSites(Events());
        break;
      case SweepGrid::kLayerByPosition:
        MakeSites(EveryPosition());
        break;
      case SweepGrid::kLayerByHead:
        for (const int64_t layer : Layers()) {
          AddRow(Block(layer) + ".attn.hook_z", Numbered("head", h_.n_heads), [&](int64_t head) {
            return HeadTarget{layer, head};
          });
        }
        break;
      case SweepGrid::kHeadByPosition:
        CheckLayer(options_.layer, "layer");
        for (int64_t head = 0; head < h_.n_heads; ++head) {
          AddRow(Block(options_.layer) + ".head " + std::to_string(head), EveryPosition(), [&](int64_t) {
            return HeadTarget{options_.layer, head};
          });
        }
        break;
      case SweepGrid::kNeurons:
        CheckLayer(options_.layer, "layer");
        AddRow(Block(options_.layer) + ".mlp.hook_post", Numbered("neuron", h_.hidden_ff), [&](int64_t neuron) {
          return NeuronTarget{options_.layer, {neuron}};
        });
        break;
      case SweepGrid::kFeatures: {
        TORCH_CHECK_VALUE(!options_.features.empty(), "features: none is active, expected at least one");
        std::vector<Column> columns;
        for (const int64_t feature : options_.features) columns.push_back({"feature " + std::to_string(feature), {}});
        AddRow("features", columns, [&](int64_t column) {
          return FeatureTarget{options_.dictionary, {options_.features[static_cast<size_t>(column)]}};
        });
        break;
      }
    }
    return std::move(sweep_);
  }

 private:
  static std::string Block(int64_t layer) { return "blocks." + std::to_string(layer); }

  void CheckLayer(int64_t layer, const char* field) const {
    TORCH_CHECK_INDEX(0 <= layer && layer < h_.n_encoders, field, ": ", layer, ", expected 0 <= layer < ",
                      h_.n_encoders);
  }

  std::vector<int64_t> Layers() const {
    std::vector<int64_t> layers = options_.layers;
    if (layers.empty()) {
      layers.resize(static_cast<size_t>(h_.n_encoders));
      std::iota(layers.begin(), layers.end(), 0);
    }
    for (const int64_t layer : layers) CheckLayer(layer, "layers");
    return layers;
  }

  static std::vector<Column> Numbered(const std::string& what, int64_t count) {
    std::vector<Column> columns;
    for (int64_t i = 0; i < count; ++i) columns.push_back({what + " " + std::to_string(i), {}});
    return columns;
  }
  std::vector<Column> EveryPosition() const {
    std::vector<Column> columns = Numbered("position", base_.length());
    for (size_t i = 0; i < columns.size(); ++i) columns[i].positions = {static_cast<int64_t>(i)};
    return columns;
  }
  // Event 0 is the prefix.
  std::vector<Column> Events() const {
    std::vector<Column> columns = Numbered("event", base_.event_count() + 1);
    for (int64_t i = 0; i < base_.length(); ++i) {
      columns[static_cast<size_t>(base_.event[static_cast<size_t>(i)])].positions.push_back(i);
    }
    return columns;
  }

  void MakeSites(const std::vector<Column>& columns) {
    const HookPoint first{options_.site, 0};
    TORCH_CHECK_VALUE(first.ToString().rfind("blocks.", 0) == 0 && RowKindOf(options_.site) == RowKind::kToken &&
                          WidthAt(first, h_) == h_.hidden_size,
                      "site: ", first.ToString(), ", expected a hook point of the blocks as wide as the stream");
    for (const int64_t layer : Layers()) {
      const HookPoint point{options_.site, layer};
      AddRow(point.ToString(), columns, [&](int64_t) { return ActivationTarget{point}; });
    }
  }

  template <typename MakeTarget>
  void AddRow(const std::string& name, const std::vector<Column>& columns, const MakeTarget& make_target) {
    const auto row = static_cast<int64_t>(sweep_.rows.size());
    sweep_.rows.push_back(name);
    if (sweep_.columns.empty()) {
      for (const Column& column : columns) sweep_.columns.push_back(column.name);
    }
    for (size_t i = 0; i < columns.size(); ++i) {
      Edit edit;
      edit.target = make_target(static_cast<int64_t>(i));
      edit.documents = {options_.base};
      edit.positions.indices = columns[i].positions;
      if (!SetMode(edit)) continue;
      SweepCell cell{row, static_cast<int64_t>(i), {}};
      cell.intervention.name = name + ", " + columns[i].name;
      cell.intervention.edits.push_back(std::move(edit));
      sweep_.cells.push_back(std::move(cell));
    }
  }

  // False when the donor has no value for any of the positions.
  bool SetMode(Edit& edit) const {
    if (options_.donor < 0) {
      edit.mode = Zero{};
      return true;
    }
    std::vector<int64_t> wanted = std::move(edit.positions.indices);
    if (wanted.empty()) {
      wanted.resize(static_cast<size_t>(base_.length()));
      std::iota(wanted.begin(), wanted.end(), 0);
    }
    Donor donor;
    donor.document = options_.donor;
    edit.positions.indices.clear();
    for (const int64_t position : wanted) {
      const int64_t partner = partner_[static_cast<size_t>(position)];
      if (partner < 0) continue;
      edit.positions.indices.push_back(position);
      donor.positions.indices.push_back(partner);
    }
    const bool any = !edit.positions.indices.empty();
    edit.mode = std::move(donor);
    return any;
  }

  const SweepOptions& options_;
  const Document& base_;
  const Hyperparameters& h_;
  std::vector<int64_t> partner_;  // donor's position of each of the base's, or -1
  Sweep sweep_;
};

}  // namespace

Sweep MakeSweep(const SweepOptions& options, const std::vector<Document>& documents,
                const Hyperparameters& hyperparameters) {
  return SweepMaker(options, documents, hyperparameters).Make();
}

}  // namespace lifescope
