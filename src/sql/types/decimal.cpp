#include "sql/types/decimal.hpp"

#include <algorithm>
#include <array>

#include <fmt/format.h>

namespace bop {
namespace {
constexpr std::array<std::uint32_t, 10> kPow10{1,       10,        100,        1'000,       10'000,
                                               100'000, 1'000'000, 10'000'000, 100'000'000, 1'000'000'000};
}  // namespace

Magnitude::Magnitude(std::uint64_t v) {
  for (; v != 0; v /= kBase) limbs_.push_back(static_cast<std::uint32_t>(v % kBase));
}

Magnitude Magnitude::of_digits(std::string_view s) {
  Magnitude m;
  m.limbs_.reserve(s.size() / 9 + 1);
  while (!s.empty()) {
    const std::size_t take = std::min<std::size_t>(9, s.size());
    std::uint32_t limb = 0;
    for (const char c : s.substr(s.size() - take)) limb = limb * 10 + static_cast<std::uint32_t>(c - '0');
    m.limbs_.push_back(limb);
    s.remove_suffix(take);
  }
  m.trim();
  return m;
}

Magnitude Magnitude::power_of_ten(int exponent) {
  Magnitude m;
  m.limbs_.assign(static_cast<std::size_t>(exponent / 9), 0);
  m.limbs_.push_back(kPow10[static_cast<std::size_t>(exponent % 9)]);
  return m;
}

void Magnitude::trim() {
  while (!limbs_.empty() && limbs_.back() == 0) limbs_.pop_back();
}

int Magnitude::digit_count() const noexcept {
  if (limbs_.empty()) return 0;
  int n = static_cast<int>(limbs_.size() - 1) * 9;
  for (std::uint32_t top = limbs_.back(); top != 0; top /= 10) ++n;
  return n;
}

void Magnitude::append_digits(std::string& out) const {
  if (limbs_.empty()) {
    out += '0';
    return;
  }
  fmt::format_to(std::back_inserter(out), "{}", limbs_.back());
  for (std::size_t i = limbs_.size() - 1; i-- > 0;)
    fmt::format_to(std::back_inserter(out), "{:09}", limbs_[i]);
}

bool Magnitude::fits_u64(std::uint64_t& out) const noexcept {
  unsigned __int128 v = 0;
  if (limbs_.size() > 3) return false;
  for (std::size_t i = limbs_.size(); i-- > 0;) v = v * kBase + limbs_[i];
  if (v > UINT64_MAX) return false;
  out = static_cast<std::uint64_t>(v);
  return true;
}

int Magnitude::compare(const Magnitude& a, const Magnitude& b) noexcept {
  if (a.limbs_.size() != b.limbs_.size()) return a.limbs_.size() < b.limbs_.size() ? -1 : 1;
  for (std::size_t i = a.limbs_.size(); i-- > 0;) {
    if (a.limbs_[i] != b.limbs_[i]) return a.limbs_[i] < b.limbs_[i] ? -1 : 1;
  }
  return 0;
}

Magnitude Magnitude::add(const Magnitude& a, const Magnitude& b) {
  Magnitude r;
  const std::size_t n = std::max(a.limbs_.size(), b.limbs_.size());
  r.limbs_.reserve(n + 1);
  std::uint32_t carry = 0;
  for (std::size_t i = 0; i < n || carry != 0; ++i) {
    std::uint32_t sum = carry;
    if (i < a.limbs_.size()) sum += a.limbs_[i];
    if (i < b.limbs_.size()) sum += b.limbs_[i];
    carry = sum >= kBase ? 1 : 0;
    r.limbs_.push_back(carry != 0 ? sum - kBase : sum);
  }
  return r;
}

Magnitude Magnitude::subtract(const Magnitude& a, const Magnitude& b) {
  Magnitude r;
  r.limbs_.reserve(a.limbs_.size());
  std::int64_t borrow = 0;
  for (std::size_t i = 0; i < a.limbs_.size(); ++i) {
    std::int64_t d = static_cast<std::int64_t>(a.limbs_[i]) - borrow;
    if (i < b.limbs_.size()) d -= b.limbs_[i];
    borrow = d < 0 ? 1 : 0;
    r.limbs_.push_back(static_cast<std::uint32_t>(d < 0 ? d + kBase : d));
  }
  r.trim();
  return r;
}

Magnitude Magnitude::multiply(const Magnitude& a, const Magnitude& b) {
  Magnitude r;
  if (a.is_zero() || b.is_zero()) return r;
  r.limbs_.assign(a.limbs_.size() + b.limbs_.size(), 0);
  for (std::size_t i = 0; i < a.limbs_.size(); ++i) {
    std::uint64_t carry = 0;
    for (std::size_t j = 0; j < b.limbs_.size(); ++j) {
      const std::uint64_t v = static_cast<std::uint64_t>(a.limbs_[i]) * b.limbs_[j] + r.limbs_[i + j] + carry;
      r.limbs_[i + j] = static_cast<std::uint32_t>(v % kBase);
      carry = v / kBase;
    }
    r.limbs_[i + b.limbs_.size()] = static_cast<std::uint32_t>(carry);
  }
  r.trim();
  return r;
}

// Long division after Knuth, TAOCP volume 2, 4.3.1, algorithm D, in base 10^9.
Magnitude Magnitude::divide(const Magnitude& a, const Magnitude& b, Magnitude* remainder) {
  Magnitude q;
  if (compare(a, b) < 0) {
    if (remainder != nullptr) *remainder = a;
    return q;
  }
  if (b.limbs_.size() == 1) {
    const std::uint64_t d = b.limbs_[0];
    std::uint64_t rest = 0;
    q.limbs_.assign(a.limbs_.size(), 0);
    for (std::size_t i = a.limbs_.size(); i-- > 0;) {
      rest = rest * kBase + a.limbs_[i];
      q.limbs_[i] = static_cast<std::uint32_t>(rest / d);
      rest %= d;
    }
    q.trim();
    if (remainder != nullptr) *remainder = Magnitude(rest);
    return q;
  }
  const std::uint32_t factor = kBase / (b.limbs_.back() + 1);
  std::vector<std::uint32_t> u = multiply(a, Magnitude(factor)).limbs_;
  const std::vector<std::uint32_t> v = multiply(b, Magnitude(factor)).limbs_;
  const std::size_t n = v.size();
  u.resize(std::max(u.size(), a.limbs_.size()) + 1, 0);
  const std::size_t m = u.size() - n;
  q.limbs_.assign(m, 0);
  for (std::size_t j = m; j-- > 0;) {
    const std::uint64_t top = static_cast<std::uint64_t>(u[j + n]) * kBase + u[j + n - 1];
    std::uint64_t guess = top / v[n - 1];
    std::uint64_t rest = top % v[n - 1];
    while (guess >= kBase || guess * v[n - 2] > rest * kBase + u[j + n - 2]) {
      --guess;
      rest += v[n - 1];
      if (rest >= kBase) break;
    }
    std::int64_t borrow = 0;
    std::uint64_t carry = 0;
    for (std::size_t i = 0; i < n; ++i) {
      const std::uint64_t product = guess * v[i] + carry;
      carry = product / kBase;
      std::int64_t d =
          static_cast<std::int64_t>(u[i + j]) - borrow - static_cast<std::int64_t>(product % kBase);
      borrow = d < 0 ? 1 : 0;
      u[i + j] = static_cast<std::uint32_t>(d < 0 ? d + kBase : d);
    }
    std::int64_t d = static_cast<std::int64_t>(u[j + n]) - borrow - static_cast<std::int64_t>(carry);
    u[j + n] = static_cast<std::uint32_t>(d < 0 ? d + kBase : d);
    if (d < 0) {
      --guess;
      std::uint32_t c = 0;
      for (std::size_t i = 0; i < n; ++i) {
        const std::uint32_t sum = u[i + j] + v[i] + c;
        c = sum >= kBase ? 1 : 0;
        u[i + j] = c != 0 ? sum - kBase : sum;
      }
      u[j + n] = (u[j + n] + c) % kBase;
    }
    q.limbs_[j] = static_cast<std::uint32_t>(guess);
  }
  q.trim();
  if (remainder != nullptr) {
    Magnitude r;
    r.limbs_.assign(u.begin(), u.begin() + static_cast<std::ptrdiff_t>(n));
    r.trim();
    *remainder = divide(r, Magnitude(factor));
  }
  return q;
}

Magnitude Magnitude::square_root(const Magnitude& a) {
  if (a.is_zero()) return a;
  // Newton from above: the first guess is at least the root, then each step falls until it is the floor.
  Magnitude x = power_of_ten((a.digit_count() + 1) / 2);
  while (true) {
    Magnitude y = divide(add(x, divide(a, x)), Magnitude(2));
    if (compare(y, x) >= 0) return x;
    x = std::move(y);
  }
}

Magnitude Magnitude::scaled_up(int exponent) const {
  if (exponent <= 0 || is_zero()) return *this;
  if (exponent < 10) return multiply(*this, Magnitude(kPow10[static_cast<std::size_t>(exponent)]));
  Magnitude r;
  r.limbs_.assign(static_cast<std::size_t>(exponent / 9), 0);
  const Magnitude low = exponent % 9 == 0 ? *this : scaled_up(exponent % 9);
  r.limbs_.insert(r.limbs_.end(), low.limbs_.begin(), low.limbs_.end());
  return r;
}

Magnitude Magnitude::scaled_down(int exponent, bool round) const {
  if (exponent <= 0) return *this;
  if (exponent > digit_count()) return {};
  const Magnitude divisor = power_of_ten(exponent);
  Magnitude rest;
  Magnitude q = divide(*this, divisor, &rest);
  if (round && compare(add(rest, rest), divisor) >= 0) q = add(q, Magnitude(1));
  return q;
}

}  // namespace bop
