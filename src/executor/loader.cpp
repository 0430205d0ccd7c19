#include "executor/loader.hpp"

#include <dlfcn.h>

#include <filesystem>

namespace bop::executor {

Result<std::unique_ptr<Engine>> load_engine(const EngineOptions& options) {
  std::error_code ignored;
  const std::filesystem::path program = std::filesystem::read_symlink("/proc/self/exe", ignored);
  const std::filesystem::path folder = program.parent_path();
  std::string why = "there is no file " + (folder / kModuleName).string();
  for (const auto& path : {folder / kModuleName, folder / ".." / "lib" / "bop" / kModuleName}) {
    if (!std::filesystem::exists(path, ignored)) continue;
    void* module = ::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (module == nullptr) {
      why = ::dlerror();
      continue;
    }
    auto make = reinterpret_cast<MakeEngine>(::dlsym(module, "bop_make_engine"));
    if (make != nullptr) return make(options);
    why = path.string() + " is not the module of this program";
    ::dlclose(module);
  }
  return fail(ErrorCode::kNotImplemented, "the second executor is not there: {}", why);
}

}  // namespace bop::executor
