// The files of the page, as they lie in src/wire/http/page; the build makes page_files.cpp of them
// (cmake/embed.cmake).
#pragma once

#include <span>
#include <string_view>

namespace bop::wire::http {

struct PageFile {
  std::string_view path;  // of the request: "/", "/status.css"
  std::string_view content_type;
  std::string_view bytes;
};

[[nodiscard]] std::span<const PageFile> page_files() noexcept;

}  // namespace bop::wire::http
