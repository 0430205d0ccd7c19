// Network addresses: operators and functions of inet, cidr, macaddr and macaddr8.
#include <algorithm>

#include "sql/functions/registry.hpp"
#include "sql/types/network.hpp"

namespace bop {
namespace {

Inet inet(const Call& c, std::size_t i) { return Inet::of_stored(c.text(i)); }
Returned result(const Inet& v) { return text_result(v.stored()); }

// Whether `a` lies in the network of `b`, whose mask is shorter by `least` bits at least.
bool within(const Inet& a, const Inet& b, int least) {
  return a.v6 == b.v6 && a.bits >= b.bits + least && Inet::compare_bits(a, b, b.bits) == 0;
}

Returned combined(Call& c, std::string_view name, std::uint8_t (*f)(std::uint8_t, std::uint8_t)) {
  Inet a = inet(c, 0);
  const Inet b = inet(c, 1);
  if (a.v6 != b.v6) {
    return fail(ErrorCode::kInvalidArgument, "cannot {} inet values of different sizes", name);
  }
  for (std::size_t i = 0; i < a.address.size(); ++i) a.address[i] = f(a.address[i], b.address[i]);
  a.bits = std::max(a.bits, b.bits);
  return result(a);
}

Returned added(Inet a, std::int64_t number) {
  __int128 carry = number;
  for (int i = a.bytes() - 1; i >= 0; --i) {
    auto& byte = a.address[static_cast<std::size_t>(i)];
    const __int128 sum = carry + byte;
    byte = static_cast<std::uint8_t>(sum & 0xff);
    carry = sum >> 8;
  }
  if (carry != 0) return fail(ErrorCode::kNumericOutOfRange, "result is out of range");
  return result(a);
}

Returned difference(Call& c) {
  const Inet a = inet(c, 0), b = inet(c, 1);
  if (a.v6 != b.v6) {
    return fail(ErrorCode::kInvalidArgument, "cannot subtract inet values of different sizes");
  }
  // Byte by byte from the front: what does not fit has to be all sign.
  __int128 high = 0, low = 0;
  for (int i = 0; i < a.bytes(); ++i) {
    const int step = a.address[static_cast<std::size_t>(i)] - b.address[static_cast<std::size_t>(i)];
    if (i < 8 && a.v6) {
      high = high * 256 + step;
    } else {
      low = low * 256 + step;
    }
  }
  constexpr __int128 kWord = static_cast<__int128>(1) << 64;
  if (high > 1 || high < -1) return fail(ErrorCode::kNumericOutOfRange, "result is out of range");
  const __int128 total = high * kWord + low;
  if (total > INT64_MAX || total < INT64_MIN) {
    return fail(ErrorCode::kNumericOutOfRange, "result is out of range");
  }
  return int_result(static_cast<std::int64_t>(total));
}

Returned with_masklen(Call& c, bool cidr) {
  Inet a = inet(c, 0);
  const std::int64_t bits = c.integer(1) == -1 ? a.max_bits() : c.integer(1);
  if (bits < 0 || bits > a.max_bits()) {
    return fail(ErrorCode::kInvalidArgument, "invalid mask length: {}", c.integer(1));
  }
  a.bits = static_cast<int>(bits);
  if (cidr) a.fill_host(false);
  return result(a);
}

Returned merged(Call& c) {
  Inet a = inet(c, 0);
  const Inet b = inet(c, 1);
  if (a.v6 != b.v6)
    return fail(ErrorCode::kInvalidArgument, "cannot merge addresses from different families");
  int common = 0;
  while (common < std::min(a.bits, b.bits) && a.bit(common) == b.bit(common)) ++common;
  a.bits = common;
  a.fill_host(false);
  return result(a);
}

Inet mask_of(const Inet& of, bool ones) {
  Inet made;
  made.v6 = of.v6;
  made.bits = of.max_bits();
  for (int i = 0; i < of.max_bits(); ++i) {
    const bool set = (i < of.bits) == ones;
    if (set) made.address[static_cast<std::size_t>(i / 8)] |= static_cast<std::uint8_t>(1 << (7 - i % 8));
  }
  return made;
}

// As short as a network can be written: 10.1/16.
std::string abbreviated(const Inet& a) {
  if (a.v6) return a.text(true);
  std::string out;
  for (int i = 0; i < std::max((a.bits + 7) / 8, 1); ++i)
    out += fmt::format("{}{}", i == 0 ? "" : ".", a.address[static_cast<std::size_t>(i)]);
  return fmt::format("{}/{}", out, a.bits);
}

Returned blob(std::string bytes) { return OwnedValue::of_blob(std::move(bytes)); }

Returned per_byte(Call& c, char (*f)(char, char)) {
  std::string out(c.text(0));
  for (std::size_t i = 0; i < out.size(); ++i) out[i] = f(out[i], c.size() > 1 ? c.text(1)[i] : '\0');
  return blob(std::move(out));
}

Returned truncated(Call& c) {
  std::string out(c.text(0));
  for (std::size_t i = 3; i < out.size(); ++i) out[i] = '\0';
  return blob(std::move(out));
}

}  // namespace

void add_network_functions(Implementations& all) {
  constexpr const char* kWords[] = {"eq", "ne", "lt", "le", "gt", "ge"};
  constexpr const char* kSigns[] = {"=", "<>", "<", "<=", ">", ">="};
  for (int i = 0; i < 6; ++i) {
    all.push_back(native(fmt::format("network_{}", kWords[i]),
                         fmt::format("({{0}} {} {{1}} COLLATE bop_inet)", kSigns[i])));
    for (const char* mac : {"macaddr_", "macaddr8_"})
      all.push_back(native(fmt::format("{}{}", mac, kWords[i]), fmt::format("({{0}} {} {{1}})", kSigns[i])));
  }
  all.push_back(
      scalar("network_cmp", [](Call& c) { return int_result(Inet::compare(inet(c, 0), inet(c, 1))); }));
  all.push_back(scalar("network_larger", [](Call& c) {
    return result(Inet::compare(inet(c, 0), inet(c, 1)) > 0 ? inet(c, 0) : inet(c, 1));
  }));
  all.push_back(scalar("network_smaller", [](Call& c) {
    return result(Inet::compare(inet(c, 0), inet(c, 1)) < 0 ? inet(c, 0) : inet(c, 1));
  }));
  all.push_back(
      scalar("network_sub", [](Call& c) { return bool_result(within(inet(c, 0), inet(c, 1), 1)); }));
  all.push_back(
      scalar("network_subeq", [](Call& c) { return bool_result(within(inet(c, 0), inet(c, 1), 0)); }));
  all.push_back(
      scalar("network_sup", [](Call& c) { return bool_result(within(inet(c, 1), inet(c, 0), 1)); }));
  all.push_back(
      scalar("network_supeq", [](Call& c) { return bool_result(within(inet(c, 1), inet(c, 0), 0)); }));
  all.push_back(scalar("network_overlap", [](Call& c) {
    const Inet a = inet(c, 0), b = inet(c, 1);
    return bool_result(a.v6 == b.v6 && Inet::compare_bits(a, b, std::min(a.bits, b.bits)) == 0);
  }));
  all.push_back(
      scalar("inet_same_family", [](Call& c) { return bool_result(inet(c, 0).v6 == inet(c, 1).v6); }));
  all.push_back(scalar("inet_merge", merged));
  all.push_back(scalar("network_host", [](Call& c) { return text_result(inet(c, 0).host()); }));
  all.push_back(scalar("network_show", [](Call& c) { return text_result(inet(c, 0).stored()); }));
  all.push_back(scalar("inet_abbrev", [](Call& c) { return text_result(inet(c, 0).text(false)); }));
  all.push_back(scalar("cidr_abbrev", [](Call& c) { return text_result(abbreviated(inet(c, 0))); }));
  all.push_back(scalar("network_family", [](Call& c) { return int_result(inet(c, 0).v6 ? 6 : 4); }));
  all.push_back(scalar("network_masklen", [](Call& c) { return int_result(inet(c, 0).bits); }));
  all.push_back(scalar("network_broadcast", [](Call& c) {
    Inet a = inet(c, 0);
    a.fill_host(true);
    return result(a);
  }));
  all.push_back(scalar("network_network", [](Call& c) {
    Inet a = inet(c, 0);
    a.fill_host(false);
    return result(a);
  }));
  all.push_back(scalar("network_netmask", [](Call& c) { return result(mask_of(inet(c, 0), true)); }));
  all.push_back(scalar("network_hostmask", [](Call& c) { return result(mask_of(inet(c, 0), false)); }));
  all.push_back(scalar("inet_set_masklen", [](Call& c) { return with_masklen(c, false); }));
  all.push_back(scalar("cidr_set_masklen", [](Call& c) { return with_masklen(c, true); }));
  all.push_back(scalar("inet_to_cidr", [](Call& c) {
    Inet a = inet(c, 0);
    a.fill_host(false);
    return result(a);
  }));
  all.push_back(scalar("inetnot", [](Call& c) {
    Inet a = inet(c, 0);
    for (int i = 0; i < a.bytes(); ++i) {
      auto& byte = a.address[static_cast<std::size_t>(i)];
      byte = static_cast<std::uint8_t>(~byte);
    }
    return result(a);
  }));
  all.push_back(scalar("inetand", [](Call& c) {
    return combined(c, "AND",
                    [](std::uint8_t a, std::uint8_t b) { return static_cast<std::uint8_t>(a & b); });
  }));
  all.push_back(scalar("inetor", [](Call& c) {
    return combined(c, "OR", [](std::uint8_t a, std::uint8_t b) { return static_cast<std::uint8_t>(a | b); });
  }));
  all.push_back(scalar("inetpl", [](Call& c) { return added(inet(c, 0), c.integer(1)); }));
  all.push_back(scalar("int8pl_inet(bigint, inet)", [](Call& c) { return added(inet(c, 1), c.integer(0)); }));
  all.push_back(scalar("inetmi_int8", [](Call& c) { return added(inet(c, 0), -c.integer(1)); }));
  all.push_back(scalar("inetmi", difference));
  for (const char* mac : {"macaddr", "macaddr8"}) {
    all.push_back(scalar(fmt::format("{}_not", mac), [](Call& c) {
      return per_byte(c, [](char a, char) { return static_cast<char>(~a); });
    }));
    all.push_back(scalar(fmt::format("{}_and", mac), [](Call& c) {
      return per_byte(c, [](char a, char b) { return static_cast<char>(a & b); });
    }));
    all.push_back(scalar(fmt::format("{}_or", mac), [](Call& c) {
      return per_byte(c, [](char a, char b) { return static_cast<char>(a | b); });
    }));
    all.push_back(scalar(fmt::format("{}_trunc", mac), truncated));
    all.push_back(scalar(fmt::format("{}_cmp", mac), [](Call& c) {
      const int order = c.text(0).compare(c.text(1));
      return int_result(order < 0 ? -1 : order > 0 ? 1 : 0);
    }));
  }
  all.push_back(scalar("macaddr8_set7bit", [](Call& c) {
    std::string out(c.text(0));
    out[0] = static_cast<char>(out[0] | 2);
    return blob(std::move(out));
  }));
}

}  // namespace bop
