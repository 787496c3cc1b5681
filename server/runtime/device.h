// The device, threads and libraries that compute runs on, as provenance records them.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>

namespace lifescope {

// CPUs that this process may use: the cgroup's quota and the affinity mask, not the machine's count. At least 1.
int32_t AvailableCpus();
// CPUs that a control group allows, rounded up; 0: no limit. `root` is where the hierarchies are mounted
// ("/sys/fs/cgroup"), `membership` the text of /proc/self/cgroup. Version 2 and version 1.
int32_t CgroupCpuLimit(const std::string& root, const std::string& membership);

// "cpu" or "cuda:<n>". Throws c10::ValueError naming the text, or when this LibTorch or machine has no such device.
at::Device ParseDevice(const std::string& name);

// "OpenBLAS 0.3.21 ...", "MKL", or "reference BLAS (slow: install OpenBLAS)".
std::string BlasDescription();
// True for a BLAS that is some twenty times slower than it need be.
bool IsReferenceBlas();
// "1.13.0".
std::string TorchVersion();
// Of lifescope: "0.1.0".
std::string SoftwareVersion();

// Sets LibTorch's and BLAS's thread count for the calling thread.
void SetComputeThreads(int32_t count);

}  // namespace lifescope
