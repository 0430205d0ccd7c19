#include "sql/catalog/acl.hpp"

#include <algorithm>
#include <array>
#include <charconv>

#include <fmt/format.h>

namespace bop::sql {

namespace {

struct RightName {
  Rights right;
  char letter;
  std::string_view word;
};
constexpr std::array<RightName, 12> kRights{{{right::kInsert, 'a', "INSERT"},
                                             {right::kSelect, 'r', "SELECT"},
                                             {right::kUpdate, 'w', "UPDATE"},
                                             {right::kDelete, 'd', "DELETE"},
                                             {right::kTruncate, 'D', "TRUNCATE"},
                                             {right::kReferences, 'x', "REFERENCES"},
                                             {right::kTrigger, 't', "TRIGGER"},
                                             {right::kExecute, 'X', "EXECUTE"},
                                             {right::kUsage, 'U', "USAGE"},
                                             {right::kCreate, 'C', "CREATE"},
                                             {right::kTemporary, 'T', "TEMP"},
                                             {right::kConnect, 'c', "CONNECT"}}};

constexpr Rights without(Rights set, Rights gone) { return static_cast<Rights>(set & ~gone); }
constexpr Rights both(Rights a, Rights b) { return static_cast<Rights>(a & b); }
constexpr Rights either(Rights a, Rights b) { return static_cast<Rights>(a | b); }

std::string letters(const AclItem& item) {
  std::string out;
  for (const RightName& one : kRights) {
    if ((item.rights & one.right) != 0) {
      out += one.letter;
      if ((item.options & one.right) != 0) {
        out += '*';
      }
    }
  }
  return out;
}

// One change of a list, with what follows from it; PostgreSQL's aclupdate and its parts.
class Update {
 public:
  Update(Oid owner, const IdentityOf& identity) : owner_(owner), identity_(identity) {}

  Result<Acl> add(Acl acl, const AclItem& change) {
    if (change.options != 0) {
      BOP_TRY(check_circle(acl, change));
    }
    AclItem& item = item_of(acl, change);
    item.rights = either(item.rights, change.rights);
    item.options = either(item.options, change.options);
    drop_empty(acl);
    return acl;
  }

  Result<Acl> take(Acl acl, const AclItem& change, bool cascade) {
    AclItem& item = item_of(acl, change);
    const Rights lost = both(item.options, change.options);
    item.rights = without(item.rights, change.rights);
    item.options = without(item.options, change.options);
    drop_empty(acl);
    return lost == 0 ? Result<Acl>(std::move(acl)) : abandon(std::move(acl), change.grantee, lost, cascade);
  }

 private:
  static AclItem& item_of(Acl& acl, const AclItem& like) {
    const auto found = std::ranges::find_if(acl, [&](const AclItem& item) {
      return item.grantee == like.grantee && item.grantor == like.grantor;
    });
    return found != acl.end() ? *found
                              : acl.emplace_back(AclItem{.grantee = like.grantee, .grantor = like.grantor});
  }
  static void drop_empty(Acl& acl) {
    std::erase_if(acl, [](const AclItem& item) { return item.rights == 0 && item.options == 0; });
  }

  // What others have from `grantee`, who may not give `lost` any more unless somebody else lets him.
  Result<Acl> abandon(Acl acl, Oid grantee, Rights lost, bool cascade) {
    if (grantee == owner_) {
      return acl;
    }
    lost = without(lost, held_options(acl, owner_, identity_(grantee), lost));
    for (;;) {
      const auto next = std::ranges::find_if(
          acl, [&](const AclItem& item) { return item.grantor == grantee && both(item.rights, lost) != 0; });
      if (next == acl.end()) {
        return acl;
      }
      if (!cascade) {
        return std::unexpected(error(ErrorCode::kDependentObjectsStillExist, "dependent privileges exist")
                                   .hint("Use CASCADE to revoke them too."));
      }
      const AclItem change{.grantee = next->grantee, .grantor = grantee, .rights = lost, .options = lost};
      BOP_LET(rest, take(std::move(acl), change, true));
      acl = std::move(rest);
    }
  }

  // Nobody may owe what he gives to whom he gives it.
  Status check_circle(Acl acl, const AclItem& change) {
    if (change.grantor == owner_) {
      return {};
    }
    for (;;) {
      const auto next = std::ranges::find_if(
          acl, [&](const AclItem& item) { return item.grantee == change.grantee && item.options != 0; });
      if (next == acl.end()) {
        break;
      }
      const AclItem gone = *next;
      BOP_LET(rest, take(std::move(acl), gone, true));
      acl = std::move(rest);
    }
    const Rights own = held_options(acl, owner_, identity_(change.grantor), change.options);
    if (own != change.options) {
      return fail(ErrorCode::kInvalidGrantOperation,
                  "grant options cannot be granted back to your own grantor");
    }
    return {};
  }

  Oid owner_;
  const IdentityOf& identity_;
};

std::string quoted_role(std::string_view name) {
  const bool plain = std::ranges::all_of(name, [](unsigned char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
  });
  if (plain) {
    return std::string(name);
  }
  std::string out = "\"";
  for (const char c : name) {
    if (c == '"') {
      out += '"';
    }
    out += c;
  }
  return out + '"';
}

// As an element of an array.
std::string array_element(const std::string& text) {
  if (text.find_first_of("\"\\{}, \t\n\r\v\f") == std::string::npos) {
    return text;
  }
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
    }
    out += c;
  }
  return out + '"';
}

}  // namespace

Rights all_rights(AclKind kind) {
  switch (kind) {
    case AclKind::kTable: return right::kOfTable;
    case AclKind::kSequence: return right::kOfSequence;
    case AclKind::kSchema: return right::kOfSchema;
    case AclKind::kFunction: return right::kOfFunction;
    case AclKind::kColumn: return right::kOfColumn;
    case AclKind::kDatabase: break;
  }
  return right::kOfDatabase;
}

Acl default_acl(AclKind kind, Oid owner) {
  Acl acl;
  if (kind == AclKind::kColumn) {
    return acl;  // its owner has the table's
  }
  if (kind == AclKind::kDatabase) {
    acl.push_back({.grantee = kPublic, .grantor = owner, .rights = right::kTemporary | right::kConnect});
  }
  if (kind == AclKind::kFunction) {
    acl.push_back({.grantee = kPublic, .grantor = owner, .rights = right::kExecute});
  }
  acl.push_back({.grantee = owner, .grantor = owner, .rights = all_rights(kind)});
  return acl;
}

bool Identity::has_rights_of(Oid other) const {
  return superuser || other == role || std::ranges::binary_search(rights_of, other);
}

bool Identity::is_member_of(Oid other) const {
  return superuser || other == role || std::ranges::binary_search(member_of, other);
}

Rights held(const ObjectAcl& acl, AclKind kind, Oid owner, const Identity& who, Rights wanted) {
  if (who.superuser) {
    return wanted;
  }
  if (!acl) {
    if (who.has_rights_of(owner)) {
      return both(wanted, all_rights(kind));
    }
    const Rights everybody = kind == AclKind::kDatabase   ? right::kTemporary | right::kConnect
                             : kind == AclKind::kFunction ? right::kExecute
                                                          : Rights{0};
    return both(wanted, everybody);
  }
  Rights found = 0;
  for (const AclItem& item : *acl) {
    if (both(item.rights, wanted) != 0 && (item.grantee == kPublic || who.has_rights_of(item.grantee))) {
      found = either(found, both(item.rights, wanted));
    }
  }
  return found;
}

Rights held_options(const ObjectAcl& acl, Oid owner, const Identity& who, Rights wanted) {
  if (who.has_rights_of(owner)) {
    return wanted;
  }
  Rights found = 0;
  if (acl) {
    for (const AclItem& item : *acl) {
      if (item.options != 0 && who.has_rights_of(item.grantee)) {
        found = either(found, both(item.options, wanted));
      }
    }
  }
  return found;
}

Result<Acl> change_acl(Acl acl, const AclChange& change, const IdentityOf& identity) {
  Update update(change.owner, identity);
  for (const Oid grantee : change.grantees) {
    if (change.grant && change.option && grantee == kPublic) {
      return fail(ErrorCode::kInvalidGrantOperation, "grant options can only be granted to roles");
    }
    // GRANT gives the option besides; REVOKE takes it too, or it alone.
    const AclItem item{.grantee = grantee,
                       .grantor = change.grantor,
                       .rights = change.grant || !change.option ? change.rights : Rights{0},
                       .options = !change.grant || change.option ? change.rights : Rights{0}};
    BOP_LET(next, change.grant ? update.add(std::move(acl), item)
                               : update.take(std::move(acl), item, change.cascade));
    acl = std::move(next);
  }
  return acl;
}

Acl with_owner(const Acl& acl, Oid from, Oid to) {
  Acl out;
  for (AclItem item : acl) {
    if (item.grantee == from) {
      item.grantee = to;
    }
    if (item.grantor == from) {
      item.grantor = to;
    }
    const auto same = std::ranges::find_if(out, [&](const AclItem& other) {
      return other.grantee == item.grantee && other.grantor == item.grantor;
    });
    if (same == out.end()) {
      out.push_back(item);
    } else {
      same->rights = either(same->rights, item.rights);
      same->options = either(same->options, item.options);
    }
  }
  return out;
}

bool mentions(const ObjectAcl& acl, Oid role) {
  return acl && std::ranges::any_of(
                    *acl, [&](const AclItem& item) { return item.grantee == role || item.grantor == role; });
}

Rights right_named(std::string_view word) {
  const auto same = [&](const RightName& one) {
    return std::ranges::equal(one.word, word, [](char a, char b) { return a == (b >= 'a' ? b - 32 : b); });
  };
  if (const auto found = std::ranges::find_if(kRights, same); found != kRights.end()) {
    return found->right;
  }
  return word == "temporary" || word == "TEMPORARY" ? right::kTemporary : Rights{0};
}

std::string_view name_of_right(Rights one) {
  const auto found = std::ranges::find(kRights, one, &RightName::right);
  return found == kRights.end() ? std::string_view() : found->word;
}

std::string stored_item(const AclItem& item) {
  return fmt::format("{}={}/{}", item.grantee == kPublic ? std::string() : std::to_string(item.grantee),
                     letters(item), item.grantor);
}

std::optional<AclItem> item_from_stored(std::string_view text) {
  const std::size_t equals = text.find('=');
  const std::size_t slash = text.rfind('/');
  if (equals == text.npos || slash == text.npos || slash < equals) {
    return std::nullopt;
  }
  AclItem item;
  const auto number = [](std::string_view digits, Oid& out) {
    const auto [end, problem] = std::from_chars(digits.data(), digits.data() + digits.size(), out);
    return problem == std::errc{} && end == digits.data() + digits.size();
  };
  if ((equals > 0 && !number(text.substr(0, equals), item.grantee)) ||
      !number(text.substr(slash + 1), item.grantor)) {
    return std::nullopt;
  }
  Rights last = 0;
  for (const char c : text.substr(equals + 1, slash - equals - 1)) {
    if (c == '*') {
      item.options = either(item.options, last);
      continue;
    }
    const auto found = std::ranges::find(kRights, c, &RightName::letter);
    if (found == kRights.end()) {
      return std::nullopt;
    }
    last = found->right;
    item.rights = either(item.rights, last);
  }
  return item;
}

std::string acl_text(const Acl& acl, const std::function<std::string(Oid)>& role_name) {
  std::string out = "{";
  for (const AclItem& item : acl) {
    const std::string grantee = item.grantee == kPublic ? "" : quoted_role(role_name(item.grantee));
    if (out.size() > 1) {
      out += ',';
    }
    out +=
        array_element(fmt::format("{}={}/{}", grantee, letters(item), quoted_role(role_name(item.grantor))));
  }
  return out + "}";
}

}  // namespace bop::sql
