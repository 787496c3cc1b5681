# Finds what lifescope links. Debian 12 is the default; a `torch` wheel may replace its LibTorch.
find_package(Threads REQUIRED)
find_package(nlohmann_json 3.11 REQUIRED)
if(LIFESCOPE_BUILD_TESTS)
  find_package(GTest REQUIRED)
endif()

if(LIFESCOPE_WITH_TORCH OR LIFESCOPE_BUILD_FUZZERS)
  find_package(PkgConfig REQUIRED)
  pkg_check_modules(LIBZIP REQUIRED IMPORTED_TARGET libzip)
endif()

if(LIFESCOPE_WITH_TORCH)
  find_package(OpenMP REQUIRED)
  # Optional: the engine builds without it and then reads no person documents.
  find_package(PkgConfig QUIET)
  if(PkgConfig_FOUND)
    pkg_search_module(HDF5 QUIET IMPORTED_TARGET hdf5-serial hdf5)
  endif()
endif()

if(LIFESCOPE_WITH_TORCH OR LIFESCOPE_BUILD_FUZZERS)
  find_package(OpenSSL REQUIRED COMPONENTS Crypto)
  add_library(lifescope_torch INTERFACE)
  if(LIFESCOPE_TORCH_DIR)
    # The wheel's own TorchConfig.cmake wants a CUDA toolkit; the four libraries are all that is needed.
    foreach(library torch_cpu c10)
      find_library(TORCH_${library} ${library} PATHS ${LIFESCOPE_TORCH_DIR}/lib NO_DEFAULT_PATH REQUIRED)
      target_link_libraries(lifescope_torch INTERFACE ${TORCH_${library}})
    endforeach()
    target_include_directories(lifescope_torch SYSTEM INTERFACE
      ${LIFESCOPE_TORCH_DIR}/include ${LIFESCOPE_TORCH_DIR}/include/torch/csrc/api/include)
    target_compile_definitions(lifescope_torch INTERFACE _GLIBCXX_USE_CXX11_ABI=1)
    find_library(TORCH_torch_cuda torch_cuda PATHS ${LIFESCOPE_TORCH_DIR}/lib NO_DEFAULT_PATH)
    find_library(TORCH_c10_cuda c10_cuda PATHS ${LIFESCOPE_TORCH_DIR}/lib NO_DEFAULT_PATH)
    if(TORCH_torch_cuda AND TORCH_c10_cuda AND EXISTS "/dev/nvidia0")
      # Loaded for its kernels only: no symbol of it is named, so the linker must not drop it.
      target_link_options(lifescope_torch INTERFACE
        -Wl,--no-as-needed,${TORCH_torch_cuda},${TORCH_c10_cuda},--as-needed)
    endif()
    # CUDA's own wheels lie beside the torch wheel; the loader finds them through torch's RPATH.
    target_link_options(lifescope_torch INTERFACE -Wl,--allow-shlib-undefined)
  else()
    find_package(Torch REQUIRED)
    target_link_libraries(lifescope_torch INTERFACE torch)
  endif()
endif()

if(LIFESCOPE_WITH_TORCH)
  # at::parallel_for is header code: without -fopenmp it silently runs on one thread.
  target_link_libraries(lifescope_torch INTERFACE OpenMP::OpenMP_CXX)

  file(WRITE ${CMAKE_BINARY_DIR}/torch_pch.cc "// Holds the precompiled header that torch targets share.\n")
  add_library(lifescope_torch_pch STATIC ${CMAKE_BINARY_DIR}/torch_pch.cc)
  target_link_libraries(lifescope_torch_pch PUBLIC lifescope_flags lifescope_torch)
  target_precompile_headers(lifescope_torch_pch PRIVATE
    <ATen/ATen.h> <algorithm> <cmath> <cstdint> <functional> <map> <memory> <string> <utility> <vector>)
endif()

if(LIFESCOPE_BUILD_SERVICE)
  find_package(Protobuf REQUIRED)
  find_package(gRPC CONFIG REQUIRED)
  find_package(absl CONFIG REQUIRED)
  find_package(SQLite3 REQUIRED)
  find_package(CLI11 REQUIRED)
  if(LIFESCOPE_BUILD_POSTGRES)
    find_package(PkgConfig REQUIRED)
    pkg_check_modules(PQXX REQUIRED IMPORTED_TARGET libpqxx)
  endif()
endif()
