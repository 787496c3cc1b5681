// A home folder as lifescoped serves one, small enough to make in a moment: a synthetic corpus of 50 persons, a
// life2vec with fresh weights and a dictionary over its first block.
#pragma once

#include <memory>
#include <string>

#include "lifescope/v1/run_service.pb.h"
#include "server/app/app.h"
#include "storage/store.h"

namespace lifescope {

inline constexpr int kTinyFeatures = 24;
inline constexpr int kTinyMaxLength = 128;
inline constexpr char kTinyHook[] = "blocks.0.hook_resid_post";

// The folder, made once per process: models/tiny, dictionaries/tiny_sae, heads/tiny_head, corpora/world.
const std::string& TinyHome();
// A copy of it that a test may damage.
std::string TinyHomeCopy();

// An application over the tiny home and a SQLite file of its own.
struct TinyApp {
  static AppOptions SmallOptions();
  explicit TinyApp(const AppOptions& options = SmallOptions());

  // A second connection to the same database.
  std::unique_ptr<Store> OpenStoreAgain() const;
  int64_t StoredRunCount() const;
  // Stores a feature index with three examples of every feature; gives its id.
  std::string StoreFeatureIndex() const;

  std::string store_url;
  std::unique_ptr<App> app;
};

// Person number `index` of the world, as a document.
v1::Document TinyPerson(int64_t index);
int64_t TinyPersonId(int64_t index);
int64_t TinyPersonLength(int64_t index);

// A valid request of each kind.
v1::RunRequest TinyRun();
v1::EncodeRequest TinyEncode();
v1::AblateFeaturesRequest TinyAblation();
v1::PatchActivationsRequest TinyPatch();
// A run that takes minutes unless it is stopped.
v1::RunRequest EndlessRun();

}  // namespace lifescope
