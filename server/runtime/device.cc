#include "server/runtime/device.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <dlfcn.h>
#include <sched.h>
#include <torch/version.h>

#include <algorithm>
#include <fstream>
#include <sstream>
#include <thread>

namespace lifescope {
namespace {

std::string TextOf(const std::string& path) {
  std::ifstream in(path);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

// CPUs of a quota of `quota` microseconds per `period`, rounded up; 0: none.
int32_t CpusOfQuota(double quota, double period) {
  if (quota <= 0 || period <= 0) return 0;
  return std::max<int32_t>(1, static_cast<int32_t>(std::ceil(quota / period)));
}

// The limit of one group, "max 100000" or "150000 100000"; version 1 has two files with a number each.
int32_t LimitOfGroup(const std::string& folder, bool version2) {
  if (!version2) {
    double quota = 0, period = 0;
    std::istringstream(TextOf(folder + "/cpu.cfs_quota_us")) >> quota;
    std::istringstream(TextOf(folder + "/cpu.cfs_period_us")) >> period;
    return CpusOfQuota(quota, period);
  }
  std::istringstream text(TextOf(folder + "/cpu.max"));
  std::string quota;
  double period = 0;
  text >> quota >> period;
  return quota.empty() || quota == "max" ? 0 : CpusOfQuota(std::atof(quota.c_str()), period);
}

// The tightest limit from a group up to the root of its hierarchy.
int32_t TightestLimit(const std::string& mount, std::string group, bool version2) {
  int32_t tightest = 0;
  while (true) {
    const int32_t limit = LimitOfGroup(mount + group, version2);
    if (limit > 0 && (tightest == 0 || limit < tightest)) tightest = limit;
    if (group.empty() || group == "/") return tightest;
    group.resize(group.find_last_of('/') == std::string::npos ? 0 : group.find_last_of('/'));
  }
}

bool HasController(const std::string& controllers, const std::string& name) {
  std::istringstream text(controllers);
  for (std::string controller; std::getline(text, controller, ',');) {
    if (controller == name) return true;
  }
  return false;
}

template <typename Function>
Function Symbol(const char* name) {
  return reinterpret_cast<Function>(dlsym(RTLD_DEFAULT, name));
}

}  // namespace

int32_t CgroupCpuLimit(const std::string& root, const std::string& membership) {
  int32_t tightest = 0;
  std::istringstream lines(membership);
  for (std::string line; std::getline(lines, line);) {
    // "0::/group" (version 2) or "3:cpu,cpuacct:/group" (version 1).
    const size_t first = line.find(':'), second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1), group = line.substr(second + 1);
    int32_t limit = 0;
    if (controllers.empty()) {
      limit = TightestLimit(root, group, true);
    } else if (HasController(controllers, "cpu")) {
      limit = TightestLimit(root + "/" + controllers, group, false);
      if (limit == 0) limit = TightestLimit(root + "/cpu", group, false);
    }
    if (limit > 0 && (tightest == 0 || limit < tightest)) tightest = limit;
  }
  return tightest;
}

int32_t AvailableCpus() {
  int32_t cpus = static_cast<int32_t>(std::thread::hardware_concurrency());
  cpu_set_t mask;
  CPU_ZERO(&mask);
  if (sched_getaffinity(0, sizeof(mask), &mask) == 0) cpus = CPU_COUNT(&mask);
  const int32_t limit = CgroupCpuLimit("/sys/fs/cgroup", TextOf("/proc/self/cgroup"));
  if (limit > 0) cpus = std::min(cpus, limit);
  return std::max<int32_t>(1, cpus);
}

at::Device ParseDevice(const std::string& name) {
  if (name == "cpu") return at::Device(at::kCPU);
  const bool is_cuda = name.rfind("cuda:", 0) == 0 && name.size() > 5 && name.size() < 8 &&
                       name.find_first_not_of("0123456789", 5) == std::string::npos;
  TORCH_CHECK_VALUE(is_cuda, "device: '", name, "', expected cpu or cuda:<number>");
  const at::Device device(at::kCUDA, static_cast<c10::DeviceIndex>(std::stoi(name.substr(5))));
  std::string reason;
  try {
    at::empty({1}, at::TensorOptions().device(device));
  } catch (const c10::Error& error) {
    reason = error.what_without_backtrace();
  }
  TORCH_CHECK_VALUE(reason.empty(), "device: '", name, "' cannot be used here: ", reason.substr(0, reason.find('\n')));
  return device;
}

std::string BlasDescription() {
  if (const auto config = Symbol<const char* (*)()>("openblas_get_config")) return config();
  if (at::hasMKL()) return "MKL";
  if (const auto version = Symbol<const char* (*)()>("bli_info_get_version_str")) {
    return std::string("BLIS ") + version();
  }
  return "reference BLAS (slow: install OpenBLAS)";
}

bool IsReferenceBlas() { return BlasDescription().rfind("reference", 0) == 0; }

std::string TorchVersion() { return TORCH_VERSION; }

std::string SoftwareVersion() { return LIFESCOPE_VERSION; }

void SetComputeThreads(int32_t count) {
  at::set_num_threads(count);
  // OpenBLAS built on pthreads has a pool of its own, which ATen does not know; the OpenMP build follows ATen.
  constexpr int kPthreads = 1;
  const auto parallel = Symbol<int (*)()>("openblas_get_parallel");
  const auto set_threads = Symbol<void (*)(int)>("openblas_set_num_threads");
  if (parallel != nullptr && set_threads != nullptr && parallel() == kPthreads) set_threads(count);
}

}  // namespace lifescope
