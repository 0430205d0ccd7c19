#include "objstore/store_url.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "objstore/object_key.hpp"
#include "objstore/service_answer.hpp"

namespace bop::objstore {
namespace {

struct Scheme {
  std::string_view text;
  StoreKind kind;
};
constexpr std::array<Scheme, 4> kSchemes{{{"file://", StoreKind::kDirectory},
                                          {"s3://", StoreKind::kS3},
                                          {"gs://", StoreKind::kGcs},
                                          {"az://", StoreKind::kAzure}}};

// Without what could be a secret: nothing behind the '?', nothing before an '@'.
std::string shown(std::string_view url) {
  const std::string_view bare = url.substr(0, url.find('?'));
  const std::size_t at = bare.rfind('@');
  const std::size_t start = bare.find("://");
  if (at != std::string_view::npos && start != std::string_view::npos && at > start) {
    return one_line(std::string(bare.substr(0, start + 3)) + "..." + std::string(bare.substr(at)), 200);
  }
  return one_line(bare, 200);
}

std::unexpected<Error> wrong(std::string_view url, std::string_view what) {
  return fail(ErrorCode::kConfigInvalid, "the object store \"{}\" is not valid: {}", shown(url), what);
}

bool is_bucket(std::string_view name) {
  if (name.size() < 3 || name.size() > 222) return false;
  return std::ranges::all_of(name, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_';
  });
}

// What may stand in values: all that is printed but what ends them or quotes.
bool is_value(std::string_view text) {
  return !text.empty() && text.size() <= 500 && std::ranges::all_of(text, [](char c) {
    return c > 0x20 && c < 0x7f && c != '"' && c != '\'' && c != '\\' && c != '%' && c != '&' && c != '?';
  });
}

Status set_flag(bool& flag, std::string_view url, std::string_view name, std::string_view value) {
  if (value != "true" && value != "false") return wrong(url, fmt::format("{} may be true or false", name));
  flag = value == "true";
  return {};
}

Status set_option(StoreUrl& out, std::string_view url, std::string_view name, std::string_view value) {
  const bool is_s3 = out.kind == StoreKind::kS3;
  if (!is_value(value))
    return wrong(url, fmt::format("the value of {} is empty or not printable", one_line(name, 40)));
  if (name == "endpoint" && out.kind != StoreKind::kGcs) {
    if (!value.starts_with("http://") && !value.starts_with("https://")) {
      return wrong(url, "endpoint begins with http:// or https://");
    }
    if (value.find('@') != std::string_view::npos) return wrong(url, "endpoint has a user or password in it");
    out.endpoint = value;
    return {};
  }
  if (name == "allow_http" && out.kind != StoreKind::kGcs) return set_flag(out.allow_http, url, name, value);
  if (name == "path_style" && is_s3) return set_flag(out.path_style, url, name, value);
  if (name == "checksum" && is_s3) {
    if (value != "sha256" && value != "none") return wrong(url, "checksum may be sha256 or none");
    out.checksum = value == "sha256";
    return {};
  }
  std::string* text = name == "region" && is_s3                            ? &out.region
                      : name == "profile" && is_s3                         ? &out.profile
                      : name == "account" && out.kind == StoreKind::kAzure ? &out.account
                                                                           : nullptr;
  if (text != nullptr) {
    *text = value;
    return {};
  }
  if (name.find("key") != std::string_view::npos || name.find("token") != std::string_view::npos ||
      name.find("password") != std::string_view::npos) {
    return wrong(url,
                 "credentials do not belong into a URL, which is shown and logged: see docs/objstore.md");
  }
  return wrong(
      url, fmt::format("it has no option {}; s3 has endpoint, region, path_style, allow_http, profile and "
                       "checksum, az has endpoint, account and allow_http",
                       one_line(name, 40)));
}

Status parse_options(StoreUrl& out, std::string_view url, std::string_view options) {
  while (!options.empty()) {
    const std::string_view one = options.substr(0, options.find('&'));
    options.remove_prefix(std::min(one.size() + 1, options.size()));
    const std::size_t equals = one.find('=');
    if (equals == std::string_view::npos)
      return wrong(url, "options are written name=value and separated by &");
    BOP_TRY(set_option(out, url, one.substr(0, equals), one.substr(equals + 1)));
  }
  if (out.endpoint.starts_with("http://") && !out.allow_http) {
    return wrong(url, "its endpoint is not encrypted; allow_http=true allows that");
  }
  return {};
}

Result<StoreUrl> parse_directory(std::string_view url, std::string_view path) {
  if (!path.starts_with('/')) return wrong(url, "the folder is absolute: file:///var/lib/archive");
  if (path.find('\0') != std::string_view::npos) return wrong(url, "a zero byte is in it");
  while (path.size() > 1 && path.ends_with('/')) path.remove_suffix(1);
  if (path == "/") return wrong(url, "the folder is the root of all folders");
  return StoreUrl{.kind = StoreKind::kDirectory, .place = std::string(path)};
}

}  // namespace

std::string StoreUrl::name() const {
  const auto scheme = std::ranges::find(kSchemes, kind, &Scheme::kind);
  return fmt::format("{}{}{}{}", scheme->text, place, prefix.empty() ? "" : "/", prefix);
}

Result<StoreUrl> parse_store_url(std::string_view url) {
  if (url.size() > kMostUrlBytes) return wrong(url, "it is longer than 2,048 bytes");
  const auto scheme =
      std::ranges::find_if(kSchemes, [&](const Scheme& known) { return url.starts_with(known.text); });
  if (scheme == kSchemes.end()) return wrong(url, "it begins with file://, s3://, gs:// or az://");
  std::string_view rest = url.substr(scheme->text.size());
  if (scheme->kind == StoreKind::kDirectory) return parse_directory(url, rest);

  StoreUrl out{.kind = scheme->kind};
  std::string_view options;
  if (const std::size_t mark = rest.find('?'); mark != std::string_view::npos) {
    options = rest.substr(mark + 1);
    rest = rest.substr(0, mark);
  }
  const std::size_t slash = rest.find('/');
  out.place = rest.substr(0, slash);
  if (!is_bucket(out.place)) {
    return wrong(url, "the name of the bucket has 3 to 222 small letters, digits and -._");
  }
  if (slash != std::string_view::npos) {
    std::string_view prefix = rest.substr(slash + 1);
    if (prefix.ends_with('/')) prefix.remove_suffix(1);
    if (!prefix.empty() && !check_key(prefix))
      return wrong(url, "its prefix is not one of keys (docs/objstore.md)");
    if (prefix.size() > 100) return wrong(url, "its prefix is longer than 100 bytes");
    out.prefix = prefix;
  }
  BOP_TRY(parse_options(out, url, options));
  return out;
}

}  // namespace bop::objstore
