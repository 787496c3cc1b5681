// Lists of the server, page by page.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>

#include "absl/status/statusor.h"
#include "client/cli/client.h"
#include "google/protobuf/repeated_field.h"

namespace lifescope {

inline constexpr int64_t kEverything = std::numeric_limits<int64_t>::max();

// The first `limit` entries of a list as one message: pages are asked for until there are enough or no more.
// `entries` is the field of Response that holds them: `&Response::mutable_models`.
template <typename Response, typename Request, typename Entry>
absl::StatusOr<Response> ListAll(Client& client, absl::StatusOr<Response> (Client::*list)(const Request&),
                                 Request request, google::protobuf::RepeatedPtrField<Entry>* (Response::*entries)(),
                                 int64_t limit = kEverything) {
  constexpr int64_t kPage = 500;
  Response all;
  bool is_first = true;
  do {
    const int64_t wanted = limit - (all.*entries)()->size();
    request.set_page_size(static_cast<int32_t>(std::min(kPage, wanted)));
    absl::StatusOr<Response> page = (client.*list)(request);
    if (!page.ok()) return page.status();
    if (is_first) {
      all = *std::move(page);
      is_first = false;
    } else {
      (all.*entries)()->MergeFrom(*((*page).*entries)());
      all.set_next_page_token(page->next_page_token());
    }
    request.set_page_token(all.next_page_token());
  } while (!all.next_page_token().empty() && (all.*entries)()->size() < limit);
  return all;
}

}  // namespace lifescope
