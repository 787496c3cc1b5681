#include "server/app/engine_status.h"

#include <c10/util/Exception.h>

#include <new>
#include <stdexcept>
#include <string>

#include "server/app/log.h"
#include "server/intervention/engine.h"

namespace lifescope {
namespace {

std::string FirstLine(const std::string& text) { return text.substr(0, text.find('\n')); }

bool SaysOutOfMemory(const std::string& text) {
  return text.find("out of memory") != std::string::npos || text.find("can't allocate memory") != std::string::npos;
}

absl::Status Internal(const std::string& whole, const std::string& line) {
  Log(LogLevel::kError, "engine_failure", {{"error", whole}});
  return absl::InternalError(line);
}

absl::Status OutOfMemory() { return absl::ResourceExhaustedError("memory ran out; retry later or ask for less"); }

}  // namespace

absl::Status StatusFromEngineException(std::exception_ptr exception) {
  try {
    std::rethrow_exception(exception);
  } catch (const Cancelled&) {
    return absl::CancelledError("the caller gave up");
  } catch (const c10::OutOfMemoryError&) {
    return OutOfMemory();
  } catch (const c10::IndexError& error) {
    return absl::OutOfRangeError(FirstLine(error.what_without_backtrace()));
  } catch (const c10::ValueError& error) {
    return absl::InvalidArgumentError(FirstLine(error.what_without_backtrace()));
  } catch (const c10::Error& error) {
    if (SaysOutOfMemory(error.what_without_backtrace())) return OutOfMemory();
    return Internal(error.what(), FirstLine(error.what_without_backtrace()));
  } catch (const std::bad_alloc&) {
    return OutOfMemory();
  } catch (const std::out_of_range& error) {
    return absl::NotFoundError(error.what());
  } catch (const std::exception& error) {
    return Internal(error.what(), FirstLine(error.what()));
  } catch (...) {
    return Internal("an exception of an unknown type", "unknown failure");
  }
}

}  // namespace lifescope
