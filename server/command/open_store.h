// The database of the batch verbs.
#pragma once

#include <CLI/CLI.hpp>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "storage/store.h"

namespace lifescope {

// --store, from LIFESCOPE_STORE.
void AddStoreOption(CLI::App& verb, std::string& url);

// Opens the store, by default that of the home folder. Throws std::runtime_error with the store's message.
std::unique_ptr<Store> OpenStoreOf(const std::string& home, const std::string& url);

// Throws std::runtime_error with the status's message.
void ThrowUnlessOk(const absl::Status& status);

}  // namespace lifescope
