// Settings over a recipe's options: each is taken by the option that it names, and none may be left over.
#pragma once

#include <c10/util/Exception.h>

#include <cmath>
#include <cstdint>
#include <string>
#include <type_traits>

#include "server/dictionary/training/published_recipes.h"

namespace lifescope {

class SettingsReader {
 public:
  explicit SettingsReader(const RecipeSettings& settings) : left_(settings) {}

  bool Has(const std::string& name) const { return left_.count(name) > 0; }

  // Whether it was there. Throws c10::ValueError when an integer is wanted and the value is none.
  template <typename T>
  bool Take(const std::string& name, T& value) {
    const auto found = left_.find(name);
    if (found == left_.end()) return false;
    if constexpr (std::is_integral_v<T>) {
      TORCH_CHECK_VALUE(found->second == std::floor(found->second), name, " is ", found->second,
                        ", expected a whole number");
    }
    value = static_cast<T>(found->second);
    left_.erase(found);
    return true;
  }

  void ExpectNoneLeft(const std::string& recipe) const {
    std::string names;
    for (const auto& [name, value] : left_) names += (names.empty() ? "" : ", ") + name;
    TORCH_CHECK_VALUE(names.empty(), "recipe '", recipe, "' has no ", names);
  }

 private:
  RecipeSettings left_;
};

}  // namespace lifescope
