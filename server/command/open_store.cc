#include "server/command/open_store.h"

#include <stdexcept>
#include <utility>

#include "server/command/home.h"

namespace lifescope {

void AddStoreOption(CLI::App& verb, std::string& url) {
  verb.add_option("--store", url, "sqlite:<path> or postgresql://...; default: lifescope.db in the home folder")
      ->envname("LIFESCOPE_STORE");
}

std::unique_ptr<Store> OpenStoreOf(const std::string& home, const std::string& url) {
  absl::StatusOr<std::unique_ptr<Store>> store = OpenStore(url.empty() ? DefaultStoreUrl(home) : url);
  ThrowUnlessOk(store.status());
  return std::move(*store);
}

void ThrowUnlessOk(const absl::Status& status) {
  if (!status.ok()) throw std::runtime_error(std::string(status.message()));
}

}  // namespace lifescope
