// Lists of rights: their stored form, and what giving and taking does to them.
#include "sql/catalog/acl.hpp"

#include <random>

#include <gtest/gtest.h>

namespace bop::sql {
namespace {

constexpr Oid kOwner = 10, kA = 20, kB = 30, kGroup = 40;

// kB inherits the rights of kGroup; nobody is a superuser.
Identity identity(Oid role) {
  Identity who{.role = role, .superuser = false, .rights_of = {role}, .member_of = {role}};
  if (role == kB) {
    who.rights_of.push_back(kGroup);
    who.member_of.push_back(kGroup);
  }
  return who;
}

Result<Acl> change(const Acl& acl, bool grant, Oid grantor, Oid grantee, Rights rights, bool option = false,
                   bool cascade = false) {
  return change_acl(acl,
                    {.grant = grant,
                     .option = option,
                     .cascade = cascade,
                     .rights = rights,
                     .grantees = {grantee},
                     .grantor = grantor,
                     .owner = kOwner},
                    identity);
}

TEST(Acl, StoredItemsAreReadBack) {
  for (unsigned rights = 0; rights < 1u << 12; rights += 7) {
    const AclItem item{.grantee = rights % 3 == 0 ? kPublic : Oid{16384},
                       .grantor = 4294967295,
                       .rights = static_cast<Rights>(rights),
                       .options = static_cast<Rights>(rights & 0x555)};
    EXPECT_EQ(item_from_stored(stored_item(item)), item) << stored_item(item);
  }
  EXPECT_EQ(stored_item({.grantee = 16390,
                         .grantor = 10,
                         .rights = right::kInsert | right::kSelect,
                         .options = right::kSelect}),
            "16390=ar*/10");
}

TEST(Acl, DamagedItemsAreRefused) {
  for (const char* text : {"", "=", "=r", "x=r/10", "1=q/10", "1=r/", "1=r/x", "/=r", "99999999999=r/10"}) {
    EXPECT_EQ(item_from_stored(text), std::nullopt) << text;
  }
  std::minstd_rand random(4711);
  for (int round = 0; round < 20'000; ++round) {
    std::string text = "16390=ar*wd/16400";
    for (int i = 0; i < 3; ++i) text[random() % text.size()] = static_cast<char>(random() % 256);
    (void)item_from_stored(text);
  }
}

TEST(Acl, WithoutAListTheOwnerHasAll) {
  EXPECT_EQ(held(std::nullopt, AclKind::kTable, kOwner, identity(kOwner), right::kOfTable), right::kOfTable);
  EXPECT_EQ(held(std::nullopt, AclKind::kTable, kOwner, identity(kA), right::kOfTable), 0);
  EXPECT_EQ(held(std::nullopt, AclKind::kDatabase, kOwner, identity(kA), right::kOfDatabase),
            right::kConnect | right::kTemporary);
}

TEST(Acl, RightsComeByRolesThatAreInheritedAndByPublic) {
  const Acl acl{{.grantee = kGroup, .grantor = kOwner, .rights = right::kSelect},
                {.grantee = kPublic, .grantor = kOwner, .rights = right::kInsert}};
  EXPECT_EQ(held(acl, AclKind::kTable, kOwner, identity(kB), right::kOfTable),
            right::kSelect | right::kInsert);
  EXPECT_EQ(held(acl, AclKind::kTable, kOwner, identity(kA), right::kOfTable), right::kInsert);
  EXPECT_EQ(held(acl, AclKind::kTable, kOwner, identity(kOwner), right::kOfTable), right::kInsert);
  EXPECT_EQ(held_options(acl, kOwner, identity(kOwner), right::kOfTable), right::kOfTable);
}

TEST(Acl, WhatDependsOnAnOptionGoesWithItOrHoldsIt) {
  auto acl = change(default_acl(AclKind::kTable, kOwner), true, kOwner, kA, right::kSelect, true);
  acl = change(*acl, true, kA, kB, right::kSelect);
  ASSERT_EQ(acl->size(), 3u);
  EXPECT_EQ(change(*acl, false, kOwner, kA, right::kSelect).error().code(),
            ErrorCode::kDependentObjectsStillExist);
  const auto left = change(*acl, false, kOwner, kA, right::kSelect, false, true);
  EXPECT_EQ(*left, default_acl(AclKind::kTable, kOwner));
}

TEST(Acl, NobodyGetsBackWhatHeGave) {
  auto acl = change(default_acl(AclKind::kTable, kOwner), true, kOwner, kA, right::kSelect, true);
  acl = change(*acl, true, kA, kB, right::kSelect, true);
  EXPECT_EQ(change(*acl, true, kB, kA, right::kSelect, true).error().code(),
            ErrorCode::kInvalidGrantOperation);
  EXPECT_EQ(change(*acl, true, kOwner, kPublic, right::kSelect, true).error().code(),
            ErrorCode::kInvalidGrantOperation);
}

TEST(Acl, ANewOwnerTakesTheOldOnesPlace) {
  Acl acl = default_acl(AclKind::kTable, kOwner);
  acl.push_back({.grantee = kA, .grantor = kOwner, .rights = right::kSelect, .options = right::kSelect});
  EXPECT_EQ(with_owner(acl, kOwner, kA),
            (Acl{{.grantee = kA, .grantor = kA, .rights = right::kOfTable, .options = right::kSelect}}));
}

}  // namespace
}  // namespace bop::sql
