#include "sql/catalog/catalog.hpp"

#include <algorithm>

#include <fmt/format.h>
#include <sqlite3.h>

#include "base/assert.hpp"
#include "sql/catalog/catalog_json.hpp"
#include "sql/catalog/temporary.hpp"
#include "sql/types/types.hpp"

namespace bop::sql {

const Column* Relation::find_column(std::string_view column) const {
  for (const Column& c : columns) {
    if (!c.dropped && c.name == column) {
      return &c;
    }
  }
  return nullptr;
}

const Column* Relation::find_column(std::int16_t number) const {
  for (const Column& c : columns) {
    if (c.number == number) {
      return &c;
    }
  }
  return nullptr;
}

const Constraint* Relation::find_constraint(std::string_view constraint) const {
  for (const Constraint& c : constraints) {
    if (c.name == constraint) {
      return &c;
    }
  }
  return nullptr;
}

const ViewRead* Relation::find_read(Oid relation) const {
  const auto found = std::ranges::find(reads, relation, &ViewRead::relation);
  return found == reads.end() ? nullptr : &*found;
}

const Constraint* Relation::primary_key() const {
  for (const Constraint& c : constraints) {
    if (c.type == 'p') {
      return &c;
    }
  }
  return nullptr;
}

const Column* Relation::rowid_column() const {
  const Constraint* key = primary_key();
  // SQLite never lets two rows share a rowid, not even until the end of a statement.
  if (key == nullptr || key->columns.size() != 1 || key->deferrable) {
    return nullptr;
  }
  const Column* column = find_column(key->columns[0]);
  // SQLite has no generated columns in a primary key.
  const bool is_integer =
      column != nullptr && column->generated == 0 &&
      (column->type == types::kInt2 || column->type == types::kInt4 || column->type == types::kInt8);
  return is_integer ? column : nullptr;
}

ObjectAcl default_schema_acl(Oid schema, Oid owner) {
  if (schema >= kFirstUserOid) {
    return std::nullopt;
  }
  return Acl{{.grantee = owner, .grantor = owner, .rights = right::kOfSchema},
             {.grantee = kPublic, .grantor = owner, .rights = right::kUsage}};
}

Catalog::Catalog(std::shared_ptr<const BuiltinRelations> builtin) : builtin_(std::move(builtin)) {
  const auto add = [this](Oid oid, std::string name) {
    schemas_[oid] = std::make_shared<const Schema>(
        Schema{.oid = oid, .name = std::move(name), .acl = default_schema_acl(oid, kBootstrapRole)});
  };
  add(kPgCatalogSchema, "pg_catalog");
  add(kInformationSchema, "information_schema");
  add(kPublicSchema, "public");
  if (builtin_ != nullptr) {
    for (const auto& relation : *builtin_) {
      builtin_by_oid_[relation->oid] = relation;
      add_name(relation->schema, relation->name, relation->oid, relation->kind);
    }
  }
}

void Catalog::add_name(Oid schema, const std::string& name, Oid oid, char kind) {
  const bool is_new = names_.emplace(std::pair(schema, name), Named{oid, kind}).second;
  BOP_ASSERT(is_new);
}

void Catalog::remove_name(Oid schema, const std::string& name) { names_.erase(std::pair(schema, name)); }

const Schema* Catalog::schema(Oid oid) const {
  const auto it = schemas_.find(oid);
  return it == schemas_.end() ? nullptr : it->second.get();
}

std::shared_ptr<const Relation> Catalog::relation(Oid oid) const {
  if (const auto it = relations_.find(oid); it != relations_.end()) {
    return it->second;
  }
  const auto it = builtin_by_oid_.find(oid);
  return it == builtin_by_oid_.end() ? nullptr : it->second;
}

std::shared_ptr<const Index> Catalog::index(Oid oid) const {
  const auto it = indexes_.find(oid);
  return it == indexes_.end() ? nullptr : it->second;
}

std::shared_ptr<const Sequence> Catalog::sequence(Oid oid) const {
  const auto it = sequences_.find(oid);
  return it == sequences_.end() ? nullptr : it->second;
}

std::shared_ptr<const Type> Catalog::type(Oid oid) const {
  const auto it = types_.find(oid);
  return it == types_.end() ? nullptr : it->second;
}

const UserType* Catalog::user_type(Oid oid) const {
  auto it = types_.find(oid);
  if (it == types_.end()) {
    const auto array = type_of_array_.find(oid);
    if (array == type_of_array_.end()) {
      return nullptr;
    }
    it = types_.find(array->second);
  }
  return it->second->user.get();
}

Oid Catalog::find_type(Oid schema, std::string_view name) const {
  const auto it = type_names_.find(std::pair(schema, std::string(name)));
  return it == type_names_.end() ? 0 : it->second;
}

Oid Catalog::find_type(std::span<const std::string> search_path, std::string_view schema_name,
                       std::string_view name) const {
  if (!schema_name.empty()) {
    const Schema* s = schema(schema_name);
    return s == nullptr ? 0 : find_type(s->oid, name);
  }
  for (const std::string& path : search_path) {
    const Schema* s = schema(path);
    if (const Oid found = s == nullptr ? 0 : find_type(s->oid, name)) {
      return found;
    }
  }
  return 0;
}

const Schema* Catalog::schema(std::string_view name) const {
  for (const auto& [oid, schema] : schemas_) {
    if (schema->name == name) {
      return schema.get();
    }
  }
  return nullptr;
}

Catalog::Named Catalog::find(Oid schema, std::string_view name) const {
  const auto it = names_.find(std::pair(schema, std::string(name)));
  return it == names_.end() ? Named{} : it->second;
}

Catalog::Named Catalog::find(std::span<const std::string> search_path, std::string_view schema_name,
                             std::string_view name) const {
  if (!schema_name.empty()) {
    const Schema* s = schema(schema_name == kTemporaryAlias ? own_temporary(search_path) : schema_name);
    return s == nullptr ? Named{} : find(s->oid, name);
  }
  if (!search_path.empty() && is_temporary_schema(search_path.front())) {
    if (const Schema* s = schema(search_path.front()); s != nullptr) {
      if (const Named found = find(s->oid, name)) {
        return found;
      }
    }
  }
  if (std::ranges::find(search_path, "pg_catalog") == search_path.end()) {
    if (const Named found = find(kPgCatalogSchema, name)) {
      return found;
    }
  }
  for (const std::string& path : search_path) {
    if (const Schema* s = schema(path); s != nullptr) {
      if (const Named found = find(s->oid, name)) {
        return found;
      }
    }
  }
  return {};
}

const DefaultAcl* Catalog::default_acl(Oid role, Oid schema, char object) const {
  for (const auto& [oid, defaults] : default_acls_) {
    if (defaults->role == role && defaults->schema == schema && defaults->object == object) {
      return defaults.get();
    }
  }
  return nullptr;
}

std::vector<std::shared_ptr<const Index>> Catalog::indexes_of(Oid table) const {
  std::vector<std::shared_ptr<const Index>> found;
  const auto [begin, end] = indexes_of_table_.equal_range(table);
  for (auto it = begin; it != end; ++it) {
    found.push_back(index(it->second));
  }
  std::ranges::sort(found, {}, [](const auto& i) { return i->oid; });
  return found;
}

std::vector<Catalog::Reference> Catalog::references_to(Oid table) const {
  std::vector<Reference> found;
  for (const auto& [oid, relation] : relations_) {
    for (const Constraint& c : relation->constraints) {
      if (c.type == 'f' && c.foreign_table == table) {
        found.push_back({relation, &c});
      }
    }
  }
  return found;
}

namespace {

// A prepared statement that finalises itself.
class Statement {
 public:
  Statement(sqlite3* connection, std::string_view sql) {
    status_ = sqlite3_prepare_v2(connection, sql.data(), static_cast<int>(sql.size()), &statement_, nullptr);
  }
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;
  ~Statement() { sqlite3_finalize(statement_); }
  [[nodiscard]] int status() const { return status_; }
  [[nodiscard]] sqlite3_stmt* get() const { return statement_; }
  [[nodiscard]] std::string_view text(int column) const {
    const auto* bytes = reinterpret_cast<const char*>(sqlite3_column_text(statement_, column));
    return bytes == nullptr
               ? std::string_view()
               : std::string_view(bytes, static_cast<std::size_t>(sqlite3_column_bytes(statement_, column)));
  }

 private:
  sqlite3_stmt* statement_ = nullptr;
  int status_ = SQLITE_OK;
};

Error sqlite_error(sqlite3* connection, std::string_view doing) {
  return error(ErrorCode::kIo, "{}: {}", doing, sqlite3_errmsg(connection));
}

}  // namespace

Result<std::shared_ptr<const Catalog>> Catalog::load(sqlite3* connection,
                                                     std::shared_ptr<const BuiltinRelations> builtin) {
  CatalogEdit edit(std::make_shared<const Catalog>(std::move(builtin)));
  {
    Statement exists(connection, "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'bop_catalog'");
    const int step = exists.status() == SQLITE_OK ? sqlite3_step(exists.get()) : exists.status();
    if (step == SQLITE_DONE) {
      return edit.finish();
    }
    if (step != SQLITE_ROW) {
      return std::unexpected(sqlite_error(connection, "cannot read the catalog"));
    }
  }
  Statement rows(connection, "SELECT oid, kind, body FROM bop_catalog ORDER BY oid");
  if (rows.status() != SQLITE_OK) {
    return std::unexpected(sqlite_error(connection, "cannot read the catalog"));
  }
  Oid next_oid = kFirstUserOid;
  int step = 0;
  while ((step = sqlite3_step(rows.get())) == SQLITE_ROW) {
    const auto oid = static_cast<Oid>(sqlite3_column_int64(rows.get(), 0));
    const std::string_view kind = rows.text(1);
    const std::string_view body = rows.text(2);
    if (kind == "state") {
      BOP_LET(state, state_from_json(body));
      next_oid = state;
    } else if (kind == "schema") {
      BOP_LET(schema, schema_from_json(oid, body));
      edit.put(std::move(schema));
    } else if (kind == "table" || kind == "view") {
      BOP_LET(relation, relation_from_json(oid, kind == "view" ? 'v' : 'r', body));
      edit.put(std::move(relation));
    } else if (kind == "index") {
      BOP_LET(index, index_from_json(oid, body));
      edit.put(std::move(index));
    } else if (kind == "default_acl") {
      BOP_LET(defaults, default_acl_from_json(oid, body));
      edit.put(std::move(defaults));
    } else if (kind == "sequence") {
      BOP_LET(sequence, sequence_from_json(oid, body));
      edit.put(std::move(sequence));
    } else if (kind == "function") {
      BOP_LET(function, function_from_json(oid, body));
      edit.put(std::move(function));
    } else if (kind == "type") {
      BOP_LET(type, type_from_json(oid, body));
      edit.put(std::move(type));
    } else {
      return fail(ErrorCode::kFormatTooNew, "the catalog holds an object of the unknown kind \"{}\" (OID {})",
                  kind, oid);
    }
  }
  if (step != SQLITE_DONE) {
    return std::unexpected(sqlite_error(connection, "cannot read the catalog"));
  }
  auto catalog = std::make_shared<Catalog>(*edit.finish());
  catalog->next_oid_ = std::max(next_oid, kFirstUserOid);
  return catalog;
}

CatalogEdit::CatalogEdit(std::shared_ptr<const Catalog> base) : next_(std::make_shared<Catalog>(*base)) {}

Oid CatalogEdit::allocate_oid() {
  changed_.insert(0);
  return next_->next_oid_++;
}

void CatalogEdit::put(Schema schema) {
  changed_.insert(schema.oid);
  const Oid oid = schema.oid;
  next_->schemas_[oid] = std::make_shared<const Schema>(std::move(schema));
}

void CatalogEdit::put(Relation relation) {
  changed_.insert(relation.oid);
  if (const auto it = next_->relations_.find(relation.oid); it != next_->relations_.end()) {
    next_->remove_name(it->second->schema, it->second->name);
  }
  next_->add_name(relation.schema, relation.name, relation.oid, relation.kind);
  const Oid oid = relation.oid;
  next_->relations_[oid] = std::make_shared<const Relation>(std::move(relation));
}

void CatalogEdit::put(Index index) {
  changed_.insert(index.oid);
  if (const auto it = next_->indexes_.find(index.oid); it != next_->indexes_.end()) {
    next_->remove_name(it->second->schema, it->second->name);
  } else {
    next_->indexes_of_table_.emplace(index.table, index.oid);
  }
  next_->add_name(index.schema, index.name, index.oid, 'i');
  const Oid oid = index.oid;
  next_->indexes_[oid] = std::make_shared<const Index>(std::move(index));
}

void CatalogEdit::put(Sequence sequence) {
  changed_.insert(sequence.oid);
  if (const auto it = next_->sequences_.find(sequence.oid); it != next_->sequences_.end()) {
    next_->remove_name(it->second->schema, it->second->name);
  }
  next_->add_name(sequence.schema, sequence.name, sequence.oid, 'S');
  const Oid oid = sequence.oid;
  next_->sequences_[oid] = std::make_shared<const Sequence>(std::move(sequence));
}

void CatalogEdit::put(Type type) {
  changed_.insert(type.oid);
  if (const auto it = next_->types_.find(type.oid); it != next_->types_.end()) {
    next_->type_names_.erase(std::pair(it->second->schema, it->second->name));
    next_->type_names_.erase(std::pair(it->second->schema, it->second->array_name));
  }
  const auto info = [&](Oid oid) -> const TypeInfo* {
    const UserType* user = next_->user_type(oid);
    if (user == nullptr) {
      return bop::find_type(oid);
    }
    return user->definition().oid == oid ? &user->info() : &user->array_info();
  };
  const TypeInfo* base = type.kind == 'd' ? info(type.base) : nullptr;
  std::vector<DomainRule> checks;
  for (const DomainCheck& check : type.checks) {
    checks.push_back({.name = check.name, .check = check.text});
  }
  std::ranges::sort(checks, {}, &DomainRule::name);
  type.user = std::make_shared<const UserType>(UserType::Definition{.oid = type.oid,
                                                                    .array_oid = type.array_oid,
                                                                    .kind = type.kind,
                                                                    .name = type.name,
                                                                    .array_name = type.array_name,
                                                                    .labels = type.labels,
                                                                    .base = type.base,
                                                                    .base_typmod = type.typmod,
                                                                    .not_null = type.not_null,
                                                                    .checks = std::move(checks)},
                                               base, base == nullptr ? nullptr : info(base->array_oid));
  next_->type_names_[std::pair(type.schema, type.name)] = type.oid;
  next_->type_names_[std::pair(type.schema, type.array_name)] = type.array_oid;
  next_->type_of_array_[type.array_oid] = type.oid;
  const Oid oid = type.oid;
  next_->types_[oid] = std::make_shared<const Type>(std::move(type));
}

void CatalogEdit::drop_type(Oid oid) {
  const auto it = next_->types_.find(oid);
  BOP_ASSERT(it != next_->types_.end());
  changed_.insert(oid);
  next_->type_names_.erase(std::pair(it->second->schema, it->second->name));
  next_->type_names_.erase(std::pair(it->second->schema, it->second->array_name));
  next_->type_of_array_.erase(it->second->array_oid);
  next_->types_.erase(it);
}

void CatalogEdit::put(DefaultAcl defaults) {
  changed_.insert(defaults.oid);
  const Oid oid = defaults.oid;
  next_->default_acls_[oid] = std::make_shared<const DefaultAcl>(std::move(defaults));
}

void CatalogEdit::drop_default_acl(Oid oid) {
  changed_.insert(oid);
  next_->default_acls_.erase(oid);
}

void CatalogEdit::drop_schema(Oid oid) {
  changed_.insert(oid);
  next_->schemas_.erase(oid);
}

void CatalogEdit::drop_relation(Oid oid) {
  const auto it = next_->relations_.find(oid);
  BOP_ASSERT(it != next_->relations_.end());
  changed_.insert(oid);
  next_->remove_name(it->second->schema, it->second->name);
  next_->relations_.erase(it);
}

void CatalogEdit::drop_index(Oid oid) {
  const auto it = next_->indexes_.find(oid);
  BOP_ASSERT(it != next_->indexes_.end());
  changed_.insert(oid);
  next_->remove_name(it->second->schema, it->second->name);
  const auto [begin, end] = next_->indexes_of_table_.equal_range(it->second->table);
  for (auto entry = begin; entry != end; ++entry) {
    if (entry->second == oid) {
      next_->indexes_of_table_.erase(entry);
      break;
    }
  }
  next_->indexes_.erase(it);
}

void CatalogEdit::drop_sequence(Oid oid) {
  const auto it = next_->sequences_.find(oid);
  BOP_ASSERT(it != next_->sequences_.end());
  changed_.insert(oid);
  next_->remove_name(it->second->schema, it->second->name);
  next_->sequences_.erase(it);
}

Status CatalogEdit::store(sqlite3* connection) const {
  std::string create(kCatalogTableSql);
  create.replace(0, std::string_view("CREATE TABLE").size(), "CREATE TABLE IF NOT EXISTS");
  if (sqlite3_exec(connection, create.c_str(), nullptr, nullptr, nullptr) != SQLITE_OK) {
    return std::unexpected(sqlite_error(connection, "cannot make the catalog table"));
  }
  Statement write(connection, "INSERT OR REPLACE INTO bop_catalog(oid, kind, body) VALUES (?1, ?2, ?3)");
  Statement remove(connection, "DELETE FROM bop_catalog WHERE oid = ?1");
  if (write.status() != SQLITE_OK || remove.status() != SQLITE_OK) {
    return std::unexpected(sqlite_error(connection, "cannot write the catalog"));
  }
  for (const Oid oid : changed_) {
    std::string kind;
    std::string body;
    if (oid == 0) {
      kind = "state";
      body = fmt::format("{{\"next_oid\":{}}}", next_->next_oid_);
    } else if (const Schema* schema = next_->schema(oid); schema != nullptr) {
      kind = "schema";
      body = to_json(*schema);
    } else if (const auto it = next_->relations_.find(oid); it != next_->relations_.end()) {
      kind = it->second->kind == 'v' ? "view" : "table";
      body = to_json(*it->second);
    } else if (const auto index = next_->index(oid); index != nullptr) {
      kind = "index";
      body = to_json(*index);
    } else if (const auto defaults = next_->default_acls_.find(oid); defaults != next_->default_acls_.end()) {
      kind = "default_acl";
      body = to_json(*defaults->second);
    } else if (const auto sequence = next_->sequence(oid); sequence != nullptr) {
      kind = "sequence";
      body = to_json(*sequence);
    } else if (const auto type = next_->type(oid); type != nullptr) {
      kind = "type";
      body = to_json(*type);
    } else if (const auto function = next_->function(oid); function != nullptr) {
      kind = "function";
      body = to_json(*function);
    }
    sqlite3_stmt* statement = kind.empty() ? remove.get() : write.get();
    sqlite3_bind_int64(statement, 1, static_cast<sqlite3_int64>(oid));
    if (!kind.empty()) {
      sqlite3_bind_text(statement, 2, kind.data(), static_cast<int>(kind.size()), SQLITE_TRANSIENT);
      sqlite3_bind_text(statement, 3, body.data(), static_cast<int>(body.size()), SQLITE_TRANSIENT);
    }
    const int step = sqlite3_step(statement);
    sqlite3_reset(statement);
    if (step != SQLITE_DONE) {
      return std::unexpected(sqlite_error(connection, "cannot write the catalog"));
    }
  }
  return {};
}

std::shared_ptr<const Catalog> CatalogEdit::finish() {
  changed_.clear();
  return std::exchange(next_, nullptr);
}

const std::optional<std::string>& default_of_domain(const Catalog& catalog, Oid type) {
  static const std::optional<std::string> kNone;
  const auto domain = type < kFirstUserOid ? nullptr : catalog.type(type);
  return domain == nullptr ? kNone : domain->default_text;
}

Rights held_on(const Relation& relation, const Identity& who, Rights wanted) {
  return relation.is_virtual() && !who.superuser
             ? static_cast<Rights>(wanted & right::kSelect)
             : held(relation.acl, AclKind::kTable, relation.owner, who, wanted);
}

Rights held_on(const Sequence& sequence, const Identity& who, Rights wanted) {
  return held(sequence.acl, AclKind::kSequence, sequence.owner, who, wanted);
}

Rights held_on(const Schema& schema, const Identity& who, Rights wanted) {
  return held(schema.acl, AclKind::kSchema, schema.owner, who, wanted);
}

Error permission_denied(std::string_view noun, std::string_view name) {
  return error(ErrorCode::kInsufficientPrivilege, "permission denied for {} {}", noun, name);
}

Error permission_denied(const Relation& relation) {
  return permission_denied(relation.kind == 'v' && !relation.is_virtual() ? "view" : "table", relation.name);
}

Status may_look_in(const Catalog& catalog, std::string_view schema, const Identity* who) {
  if (who == nullptr || who->superuser || schema.empty()) {
    return {};
  }
  const Schema* found = catalog.schema(schema);
  if (found == nullptr || held_on(*found, *who, right::kUsage) != 0) {
    return {};
  }
  return std::unexpected(permission_denied("schema", schema));
}

std::vector<std::string> usable_path(const Catalog& catalog, std::span<const std::string> path,
                                     const Identity& who) {
  std::vector<std::string> usable;
  for (const std::string& name : path) {
    const Schema* schema = catalog.schema(std::string_view(name));
    if (schema == nullptr || held_on(*schema, who, right::kUsage) != 0) {
      usable.push_back(name);
    }
  }
  return usable;
}

std::string table_name(Oid table) { return fmt::format("t{}", table); }
std::string column_name(std::int16_t number) { return fmt::format("c{}", number); }
std::string index_name(Oid index) { return fmt::format("i{}", index); }

}  // namespace bop::sql
