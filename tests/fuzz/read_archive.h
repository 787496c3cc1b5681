// Reads everything that an archive of torch.save offers as a tensor.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string_view>
#include <vector>

#include "server/artifact/torch_archive.h"

namespace lifescope {

// What is wrong with one tensor does not keep the others from being read.
inline void ReadArchive(std::string_view bytes) {
  try {
    const TorchArchive archive(bytes);
    for (const auto& [name, value] : archive.root().Entries()) {
      try {
        const TorchLayout layout = archive.Layout(value);
        std::vector<uint8_t> elements(static_cast<size_t>(layout.element_count) * layout.element_bytes);
        archive.Copy(layout, elements.data());
      } catch (const std::invalid_argument&) {
      }
    }
  } catch (const std::invalid_argument&) {
  }
}

}  // namespace lifescope
