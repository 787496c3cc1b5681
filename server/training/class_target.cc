#include "server/training/class_target.h"

#include <c10/util/Exception.h>

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "server/corpus/random.h"

namespace lifescope {
namespace {

constexpr std::string_view kTraitPrefix = "trait:", kLabelPrefix = "label:";

template <typename List, typename Name>
std::string NamesOf(const List& list, Name name) {
  std::string names;
  for (const auto& each : list) names += (names.empty() ? "" : ", ") + name(each);
  return names.empty() ? "none" : names;
}

// What a target is made of: a property of persons with named values.
struct PersonProperty {
  std::vector<std::string> values;
  std::function<int64_t(int64_t person_index)> value_of;  // index in `values`; -1: none
};

PersonProperty FindTrait(const std::string& name, const std::string& text,
                         const std::shared_ptr<const Corpus>& corpus) {
  const std::vector<Trait>& traits = corpus->person_traits();
  const auto found = std::find_if(traits.begin(), traits.end(), [&](const Trait& t) { return t.name == name; });
  TORCH_CHECK_VALUE(found != traits.end(), "target '", text, "': no trait '", name, "' of persons, the corpus has ",
                    NamesOf(traits, [](const Trait& t) { return t.name; }));
  const int64_t trait = found - traits.begin();
  return {found->values, [corpus, trait](int64_t person) { return corpus->PersonTrait(person, trait); }};
}

PersonProperty FindLabel(const std::string& name, const std::string& text,
                         const std::shared_ptr<const LabelTable>& labels) {
  TORCH_CHECK_VALUE(labels != nullptr, "target '", text, "': no label table is given");
  const std::optional<size_t> column = labels->Find(name);
  TORCH_CHECK_VALUE(column.has_value(), "target '", text, "': no label '", name, "', the table has ",
                    NamesOf(labels->columns(), [](const LabelColumn& c) { return c.name; }));
  const LabelColumn& label = labels->columns()[*column];
  TORCH_CHECK_VALUE(label.scope == LabelScope::kPerson && label.kind != LabelKind::kNumber, "target '", text,
                    "': label '", name, "' is a ", ToString(label.kind), " per ", ToString(label.scope),
                    ", expected a boolean or a category per person");
  const bool boolean = label.kind == LabelKind::kBoolean;
  return {boolean ? std::vector<std::string>{"no", "yes"} : label.values,
          [labels, column = *column](int64_t person) -> int64_t {
            const double value = labels->Person(column, person);
            return std::isnan(value) ? -1 : static_cast<int64_t>(value);
          }};
}

// One value against the others.
ClassTarget Against(const std::string& value, const std::string& text, const PersonProperty& property) {
  const std::vector<std::string>& values = property.values;
  const auto found = std::find(values.begin(), values.end(), value);
  TORCH_CHECK_VALUE(found != values.end(), "target '", text, "': no value '", value, "', expected one of ",
                    NamesOf(values, [](const std::string& v) { return v; }));
  return {{text, {"not " + value, value}},
          [value_of = property.value_of, wanted = found - values.begin()](int64_t person) -> int64_t {
            const int64_t held = value_of(person);
            return held < 0 ? -1 : held == wanted;
          }};
}

}  // namespace

ClassTarget ParseClassTarget(const std::string& text, const std::shared_ptr<const Corpus>& corpus,
                             const std::shared_ptr<const LabelTable>& labels) {
  const bool is_label = text.compare(0, kLabelPrefix.size(), kLabelPrefix) == 0;
  TORCH_CHECK_VALUE(is_label || text.compare(0, kTraitPrefix.size(), kTraitPrefix) == 0, "target '", text,
                    "', expected trait:<name>, trait:<name>=<value>, label:<name> or label:<name>=<value>");
  const size_t begin = (is_label ? kLabelPrefix : kTraitPrefix).size(), equals = text.find('=');
  const std::string name = text.substr(begin, equals == std::string::npos ? equals : equals - begin);
  const PersonProperty property = is_label ? FindLabel(name, text, labels) : FindTrait(name, text, corpus);
  if (equals != std::string::npos) return Against(text.substr(equals + 1), text, property);
  return {{text, property.values}, property.value_of};
}

ClassTarget Shuffled(const ClassTarget& target, const Corpus& corpus, uint64_t seed) {
  std::vector<int64_t> classes;
  for (int64_t person = 0; person < corpus.size(); ++person) {
    const int64_t c = target.class_of(person);
    if (c >= 0) classes.push_back(c);
  }
  Random random(seed);
  random.Shuffle(classes);
  std::vector<int64_t> dealt(static_cast<size_t>(corpus.size()), -1);
  size_t next = 0;
  for (int64_t person = 0; person < corpus.size(); ++person) {
    if (target.class_of(person) >= 0) dealt[person] = classes[next++];
  }
  ClassTarget shuffled = target;
  shuffled.target.name += " shuffled, seed " + std::to_string(seed);
  shuffled.class_of = [dealt = std::move(dealt)](int64_t person) { return dealt[person]; };
  return shuffled;
}

}  // namespace lifescope
