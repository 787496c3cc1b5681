#include "tests/support/golden.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <mutex>

namespace lifescope {
namespace {

namespace fs = std::filesystem;

std::string Environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

std::string FindGoldenRoot() {
  const std::string source = Environment("LIFESCOPE_SOURCE_DIR").empty() ? "." : Environment("LIFESCOPE_SOURCE_DIR");
  std::string whole = Environment("LIFESCOPE_GOLDEN");
  if (whole.empty()) whole = source + "/../shared/golden";
  if (fs::exists(whole + "/life2vec/README.md")) return whole;
  if (Environment("LIFESCOPE_REQUIRE_GOLDEN") == "1") {
    ADD_FAILURE() << "LIFESCOPE_REQUIRE_GOLDEN=1, but the whole golden set is not at " << whole;
  }
  return source + "/tests/golden";
}

struct Deviation {
  double worst = 0;    // |actual - expected| at the element nearest to its limit
  double allowed = 0;  // the limit there
  double absolute = 0, relative = 0;
  int64_t tensors = 0;
};

// Collects deviations of the process and writes them when it ends.
class ParityLog {
 public:
  ~ParityLog() { Write(Environment("LIFESCOPE_PARITY_DIR")); }

  void Add(const std::string& family, double worst, double allowed, double absolute, double relative) {
    const std::lock_guard<std::mutex> lock(mutex_);
    Deviation& d = families_[family];
    ++d.tensors;
    d.absolute = absolute;
    d.relative = relative;
    if (d.allowed == 0 || worst / allowed > d.worst / d.allowed) {
      d.worst = worst;
      d.allowed = allowed;
    }
  }

 private:
  void Write(const std::string& folder) const {
    if (folder.empty() || families_.empty()) return;
    fs::create_directories(folder);
    std::ofstream out(folder + "/" + fs::read_symlink("/proc/self/exe").filename().string() + ".tsv");
    for (const auto& [family, d] : families_) {
      out << family << '\t' << d.tensors << '\t' << d.absolute << '\t' << d.relative << '\t' << d.worst << '\t'
          << d.allowed << '\n';
    }
  }

  std::mutex mutex_;
  std::map<std::string, Deviation> families_;
};

ParityLog& Log() {
  static ParityLog log;
  return log;
}

}  // namespace

std::string GoldenRoot() {
  static const std::string root = FindGoldenRoot();
  return root;
}

std::string GoldenPath(const std::string& relative) { return GoldenRoot() + "/" + relative; }

bool HasGolden(const std::string& relative) { return fs::exists(GoldenPath(relative)); }

std::vector<std::string> GoldenFolders(const std::string& relative) {
  std::vector<std::string> names;
  if (!HasGolden(relative)) return names;
  for (const auto& entry : fs::directory_iterator(GoldenPath(relative))) {
    if (entry.is_directory()) names.push_back(entry.path().filename());
  }
  std::sort(names.begin(), names.end());
  return names;
}

std::string TemporaryFolder() {
  struct Folder {
    std::string path;
    Folder() {
      std::string pattern = (fs::temp_directory_path() / "lifescope-test-XXXXXX").string();
      path = mkdtemp(pattern.data());
    }
    ~Folder() {
      std::error_code ignored;
      fs::remove_all(path, ignored);
    }
  };
  static Folder root;
  static int count = 0;
  const std::string path = root.path + "/" + std::to_string(count++);
  fs::create_directories(path);
  return path;
}

void ExpectClose(const at::Tensor& actual, const at::Tensor& expected, double absolute, double relative,
                 const std::string& family) {
  ASSERT_TRUE(actual.defined() && expected.defined()) << family;
  ASSERT_EQ(actual.sizes(), expected.sizes()) << family;
  if (actual.numel() == 0) return;
  const at::Tensor a = actual.detach().to(at::kCPU, at::kDouble).flatten();
  const at::Tensor e = expected.detach().to(at::kCPU, at::kDouble).flatten();
  const at::Tensor difference = (a - e).abs();
  const at::Tensor allowed = e.abs() * relative + absolute;
  // No difference is within no allowance; 0 / 0 would hide the other elements.
  const at::Tensor share = (difference / allowed).masked_fill(difference == 0, 0);
  const int64_t i = share.argmax().item<int64_t>();
  const double worst = difference[i].item<double>(), limit = allowed[i].item<double>();
  Log().Add(family, worst, limit, absolute, relative);
  EXPECT_TRUE(worst <= limit) << family << ": element " << i << " is " << a[i].item<double>() << ", expected "
                              << e[i].item<double>() << ", difference " << worst << ", allowed " << limit;
}

}  // namespace lifescope
