// Read by clang before any other header. LibTorch 1.13 names std::vector<IValue> while IValue is incomplete; clang 14
// refuses that where libstdc++ 12 makes vector's members constexpr (C++20), so here they are not. What is compiled so
// can be linked unless it fills a std::vector<bool>.
#include <string>
#undef _GLIBCXX20_CONSTEXPR
#define _GLIBCXX20_CONSTEXPR
#define __fill_a1 __fill_a1_of_bits  // declared constexpr before, by <string>
#include <vector>
#undef __fill_a1
#undef _GLIBCXX20_CONSTEXPR
#define _GLIBCXX20_CONSTEXPR constexpr
