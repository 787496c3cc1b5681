// Pages of lists: the same rules for what the store lists and for what is in memory.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "server/app/identity.h"
#include "server/app/status_macros.h"
#include "storage/records.h"
#include "storage/store.h"

namespace lifescope {

// The page that a List request asks for. INVALID_ARGUMENT naming the field.
template <typename Request>
absl::StatusOr<PageRequest> ToPageRequest(const Request& request) {
  PageRequest page;
  if (request.page_size() < 0 || request.page_size() > kMaxPageSize) {
    return absl::InvalidArgumentError(
        absl::StrCat("page_size: ", request.page_size(), ", expected 0 (", page.page_size, ") to ", kMaxPageSize));
  }
  RETURN_IF_ERROR(CheckPlainText("page_token", request.page_token()));
  if (request.page_size() > 0) page.page_size = request.page_size();
  page.page_token = request.page_token();
  return page;
}

// Calls `add` with each item of the page and sets the next token, which is an offset.
template <typename Request, typename Item, typename Add, typename Response>
absl::Status FillPage(const Request& request, const std::vector<Item>& items, const Add& add, Response& response) {
  ASSIGN_OR_RETURN(const PageRequest page, ToPageRequest(request));
  const int64_t size = static_cast<int64_t>(items.size());
  int64_t begin = 0;
  if (!page.page_token.empty() && (!absl::SimpleAtoi(page.page_token, &begin) || begin < 1 || begin > size)) {
    return absl::InvalidArgumentError(
        absl::StrCat("page_token: '", page.page_token, "', expected one from the previous page"));
  }
  const int64_t end = std::min<int64_t>(begin + page.page_size, size);
  for (int64_t i = begin; i < end; ++i) add(items[i]);
  if (end < size) response.set_next_page_token(absl::StrCat(end));
  return absl::OkStatus();
}

}  // namespace lifescope
