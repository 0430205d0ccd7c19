# Run by the build (cmake -P): writes OUTPUT, the C++ file that holds the files of FOLDER for page_files.hpp. FILES is a
# list of `path|content type|file name`.
set(arrays "")
set(rows "")
set(number 0)
foreach(entry IN LISTS FILES)
  string(REPLACE "|" ";" parts "${entry}")
  list(GET parts 0 path)
  list(GET parts 1 type)
  list(GET parts 2 name)
  if(type MATCHES "^text/")
    string(APPEND type "; charset=utf-8")
  endif()
  file(READ "${FOLDER}/${name}" hex HEX)
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "'\\\\x\\1'," bytes "${hex}")
  string(APPEND arrays "constexpr char kFile${number}[] = {${bytes}};  // ${name}\n")
  string(APPEND rows "    {\"${path}\", \"${type}\", {kFile${number}, sizeof kFile${number}}},\n")
  math(EXPR number "${number} + 1")
endforeach()
file(WRITE "${OUTPUT}" "// Written by cmake/embed.cmake.
#include \"wire/http/page_files.hpp\"

namespace bop::wire::http {
namespace {
${arrays}constexpr PageFile kFiles[] = {
${rows}};
}  // namespace

std::span<const PageFile> page_files() noexcept { return kFiles; }

}  // namespace bop::wire::http
")
