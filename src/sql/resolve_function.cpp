#include "sql/resolve_function.hpp"

#include <algorithm>

#include "sql/functions/kernels.hpp"
#include "sql/types/range.hpp"
#include "sql/types/types.hpp"
#include "sql/types/user_types.hpp"

namespace bop::sql {

namespace {

struct Candidate {
  const Kernel* kernel;
  std::vector<Oid> args;  // one for each actual argument
};

bool is_any(Oid type) { return type == types::kAny; }

bool matches_polymorphic(Oid from, Oid to) {
  switch (to) {
    case types::kAnyArray:
    case types::kAnyCompatibleArray:
      return is_true_array(from) || from == types::kInt2Vector || from == types::kOidVector;
    case types::kAnyNonArray:
    case types::kAnyCompatibleNonArray: return !is_true_array(from);
    case types::kAnyEnum: return find_enum(from) != nullptr;
    case types::kAnyRange:
    case types::kAnyCompatibleRange: return is_range(from);
    case types::kAnyMultirange:
    case types::kAnyCompatibleMultirange: return is_multirange(from);
    default: return true;
  }
}

bool can_pass(Oid from, Oid to) {
  if (from == to || from == types::kUnknown || is_any(to)) {
    return true;
  }
  if (is_polymorphic(to)) {
    return matches_polymorphic(from, to);
  }
  return cast_context(from, to) == CastContext::kImplicit;
}

char category_of(Oid type) {
  if (type == types::kUnknown) {
    return 'X';
  }
  if (is_polymorphic(type) || is_any(type)) {
    return 'P';
  }
  const TypeInfo* info = find_type(type);
  return info == nullptr ? 'U' : info->category;
}

bool is_preferred(Oid type, char category) {
  const TypeInfo* info = find_type(type);
  return info != nullptr && info->preferred && info->category == category;
}

// Keeps those candidates whose score is the highest.
template <class Score>
void keep_best(std::vector<Candidate>& candidates, Score score) {
  int best = 0;
  for (const Candidate& c : candidates) {
    best = std::max(best, score(c));
  }
  std::erase_if(candidates, [&](const Candidate& c) { return score(c) < best; });
}

// Decides by the categories of the places where unknown literals stand.
void narrow_by_unknown(std::vector<Candidate>& candidates, std::span<const Oid> actual) {
  std::vector<char> wanted(actual.size(), 0);
  std::vector<bool> preferred_wanted(actual.size(), false);
  bool decided = false;
  for (std::size_t i = 0; i < actual.size(); ++i) {
    if (actual[i] != types::kUnknown) {
      continue;
    }
    decided = true;
    bool conflict = false;
    for (const Candidate& c : candidates) {
      const char category = category_of(c.args[i]);
      if (wanted[i] == 0) {
        wanted[i] = category;
        preferred_wanted[i] = is_preferred(c.args[i], category);
      } else if (wanted[i] == category) {
        preferred_wanted[i] = preferred_wanted[i] || is_preferred(c.args[i], category);
      } else if (category == 'S') {
        wanted[i] = 'S';
        preferred_wanted[i] = is_preferred(c.args[i], category);
      } else if (wanted[i] != 'S') {
        conflict = true;
      }
    }
    if (conflict && wanted[i] != 'S') {
      return;
    }
  }
  if (!decided) {
    return;
  }
  std::vector<Candidate> kept;
  for (const Candidate& c : candidates) {
    bool keep = true;
    for (std::size_t i = 0; i < actual.size() && keep; ++i) {
      if (actual[i] == types::kUnknown) {
        keep = category_of(c.args[i]) == wanted[i] &&
               (!preferred_wanted[i] || is_preferred(c.args[i], wanted[i]));
      }
    }
    if (keep) {
      kept.push_back(c);
    }
  }
  if (!kept.empty()) {
    candidates = std::move(kept);
  }
}

// The actual types behind polymorphic arguments; false when they contradict one another.
bool fix_polymorphic(const Kernel& kernel, std::span<const Oid> actual, std::vector<Oid>& args, Oid& result) {
  Oid element = 0;              // of anyelement, anyarray
  Oid range = 0;                // of anyrange, anymultirange: the range
  std::vector<Oid> compatible;  // of anycompatible
  for (std::size_t i = 0; i < args.size(); ++i) {
    const Oid given = actual[i];
    if (given == types::kUnknown || !is_polymorphic(args[i])) {
      continue;
    }
    if (args[i] == types::kAnyRange || args[i] == types::kAnyMultirange) {
      const Oid one = args[i] == types::kAnyRange ? given : range_of_multirange(given);
      if (range != 0 && range != one) {
        return false;
      }
      range = one;
      continue;
    }
    const bool array = args[i] == types::kAnyArray || args[i] == types::kAnyCompatibleArray;
    const Oid one = array ? element_of(given) : given;
    if (args[i] == types::kAnyCompatible || args[i] == types::kAnyCompatibleArray ||
        args[i] == types::kAnyCompatibleNonArray) {
      compatible.push_back(one);
    } else if (element == 0) {
      element = one;
    } else if (element != one) {
      return false;
    }
  }
  if (range != 0 && element != 0 && subtype_of_range(range) != element) {
    return false;
  }
  if (range != 0) {
    element = subtype_of_range(range);
  }
  Oid common = 0;
  for (const Oid type : compatible) {
    if (common == 0 || common == type) {
      common = type;
    } else if (cast_context(common, type) == CastContext::kImplicit &&
               !is_preferred(common, category_of(common))) {
      common = type;
    } else if (cast_context(type, common) != CastContext::kImplicit) {
      return false;
    }
  }
  const auto actual_of = [&](Oid declared) -> Oid {
    switch (declared) {
      case types::kAnyElement:
      case types::kAnyNonArray: return element == 0 ? types::kText : element;
      case types::kAnyEnum: return element;
      case types::kAnyRange: return range;
      case types::kAnyMultirange: return multirange_of(range);
      case types::kAnyArray: return element == 0 ? Oid{types::kTextArray} : array_of(element);
      case types::kAnyCompatible:
      case types::kAnyCompatibleNonArray: return common == 0 ? types::kText : common;
      case types::kAnyCompatibleArray: return common == 0 ? Oid{types::kTextArray} : array_of(common);
      default: return declared;
    }
  };
  for (std::size_t i = 0; i < args.size(); ++i) {
    if (is_any(args[i])) {
      args[i] = 0;
    } else if (args[i] == types::kAnyArray &&
               (actual[i] == types::kInt2Vector || actual[i] == types::kOidVector)) {
      args[i] = actual[i];
    } else {
      args[i] = actual_of(args[i]);
    }
  }
  result = actual_of(kernel.result);
  return result != 0;
}

void select_candidate(std::vector<Candidate>& candidates, std::span<const Oid> actual) {
  keep_best(candidates, [&](const Candidate& c) {
    int score = 0;
    for (std::size_t i = 0; i < actual.size(); ++i) {
      score += actual[i] != types::kUnknown && c.args[i] == actual[i] ? 1 : 0;
    }
    return score;
  });
  if (candidates.size() <= 1) {
    return;
  }
  keep_best(candidates, [&](const Candidate& c) {
    int score = 0;
    for (std::size_t i = 0; i < actual.size(); ++i) {
      if (actual[i] != types::kUnknown &&
          (c.args[i] == actual[i] || is_preferred(c.args[i], category_of(actual[i])))) {
        ++score;
      }
    }
    return score;
  });
  if (candidates.size() <= 1) {
    return;
  }
  narrow_by_unknown(candidates, actual);
  if (candidates.size() <= 1) {
    return;
  }
  // All known arguments of one type: assume that the unknown ones are of it. Polymorphic ones have to agree
  // then.
  Oid known = 0;
  bool one_known = true;
  bool has_unknown = false;
  for (const Oid type : actual) {
    if (type == types::kUnknown) {
      has_unknown = true;
    } else if (known == 0) {
      known = type;
    } else if (known != type) {
      one_known = false;
    }
  }
  if (has_unknown && known != 0 && one_known) {
    std::vector<Candidate> kept;
    for (const Candidate& c : candidates) {
      const std::vector<Oid> assumed(actual.size(), known);
      std::vector<Oid> args = c.args;
      Oid result = 0;
      if (std::ranges::all_of(c.args, [&](Oid arg) { return can_pass(known, arg); }) &&
          fix_polymorphic(*c.kernel, assumed, args, result)) {
        kept.push_back(c);
      }
    }
    if (kept.size() == 1) {
      candidates = std::move(kept);
    }
  }
}

Resolution finish(std::vector<Candidate>& candidates, std::span<const Oid> actual) {
  if (candidates.empty()) {
    return {};
  }
  if (candidates.size() > 1) {
    return {.outcome = Resolution::Outcome::kAmbiguous};
  }
  Resolution r{
      .outcome = Resolution::Outcome::kFound, .kernel = candidates[0].kernel, .args = candidates[0].args};
  if (!fix_polymorphic(*r.kernel, actual, r.args, r.result)) {
    return {};
  }
  return r;
}

}  // namespace

namespace {

// No function is declared for a domain: its base type decides.
std::vector<Oid> base_types(std::span<const Oid> types) {
  std::vector<Oid> bases;
  bases.reserve(types.size());
  for (const Oid type : types) {
    bases.push_back(base_type(type));
  }
  return bases;
}

}  // namespace

Resolution resolve_function(std::span<const Kernel* const> kernels, std::span<const Oid> given,
                            bool variadic_array) {
  const std::vector<Oid> actual = base_types(given);
  std::vector<Candidate> exact;
  std::vector<Candidate> candidates;
  for (const Kernel* kernel : kernels) {
    Candidate c{kernel, {}};
    const std::size_t declared = kernel->args.size();
    for (std::size_t i = 0; i < actual.size(); ++i) {
      if (kernel->variadic != 0 && !variadic_array && i + 1 >= declared) {
        c.args.push_back(kernel->variadic);
      } else if (i < declared) {
        c.args.push_back(kernel->args[i]);
      }
    }
    if (c.args.size() != actual.size() ||
        (variadic_array && (kernel->variadic == 0 || actual.size() != declared))) {
      continue;
    }
    bool fits = true;
    bool is_exact = true;
    for (std::size_t i = 0; i < actual.size() && fits; ++i) {
      fits = can_pass(actual[i], c.args[i]);
      is_exact = is_exact && c.args[i] == actual[i];
    }
    if (!fits) {
      continue;
    }
    // Polymorphic types must agree, else it is no candidate.
    std::vector<Oid> args = c.args;
    Oid result = 0;
    if (!fix_polymorphic(*kernel, actual, args, result)) {
      continue;
    }
    (is_exact ? exact : candidates).push_back(std::move(c));
  }
  if (!exact.empty()) {
    exact.resize(1);
    return finish(exact, actual);
  }
  if (candidates.size() > 1) {
    select_candidate(candidates, actual);
    // A function without variadic expansion hides one with it.
    if (candidates.size() > 1) {
      std::vector<Candidate> plain;
      std::ranges::copy_if(candidates, std::back_inserter(plain),
                           [](const Candidate& c) { return c.kernel->variadic == 0; });
      if (plain.size() == 1) {
        candidates = std::move(plain);
      }
    }
  }
  return finish(candidates, actual);
}

bool sees_blanks(const Kernel& kernel, std::size_t i) {
  if (kernel.args.empty()) {
    return false;
  }
  const Oid declared = kernel.args[std::min(i, kernel.args.size() - 1)];
  if (declared == types::kBpchar) {
    const std::string_view name = kernel.proc_name;
    return name == "octet_length" || name.ends_with("like") || name.find("regex") != name.npos;
  }
  // Those that write any value as text. quote_literal() casts it to text first, which takes the blanks away.
  const bool writes_text =
      kernel.result == types::kText || kernel.result == types::kJson || kernel.result == types::kJsonb;
  return writes_text && !kernel.is_operator && is_pseudo(declared) && !kernel.name.starts_with("quote_");
}

Resolution resolve_operator(std::string_view sign, std::span<const Oid> given) {
  const std::vector<Oid> actual = base_types(given);
  const std::vector<const Kernel*> kernels = lookup_operator(sign, actual.size());
  std::vector<Oid> assumed(actual.begin(), actual.end());
  // An unknown literal beside a known operand is first taken to be of its type.
  if (actual.size() == 2 && (actual[0] == types::kUnknown) != (actual[1] == types::kUnknown)) {
    const Oid known = actual[0] == types::kUnknown ? actual[1] : actual[0];
    assumed = {known, known};
    for (const Kernel* kernel : kernels) {
      if (kernel->args[0] == known && kernel->args[1] == known) {
        std::vector<Candidate> one{{kernel, kernel->args}};
        return finish(one, assumed);
      }
    }
  }
  return resolve_function(kernels, actual, false);
}

}  // namespace bop::sql
