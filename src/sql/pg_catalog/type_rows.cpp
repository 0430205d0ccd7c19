// Rows of pg_type, pg_proc, pg_operator, pg_am, pg_collation...: the same in every database.
#include <algorithm>

#include "sql/functions/kernels.hpp"
#include "sql/pg_catalog/function_rows.hpp"
#include "sql/pg_catalog/relation_table.hpp"
#include "sql/stored_text.hpp"
#include "sql/types/range.hpp"
#include "sql/types/types.hpp"

namespace bop::sql {

namespace {

constexpr Oid kDefaultCollation = 100;

void type_row(RowSet& rows, const TypeInfo& type, Oid schema, Oid owner) {
  rows.row().set("oid", type.oid).set("typname", type.name).set("typnamespace", schema);
  rows.set("typowner", owner).set("typlen", std::int64_t{type.typlen}).set("typbyval", type.byval);
  rows.set("typtype", type.typtype).set("typcategory", type.category).set("typispreferred", type.preferred);
  rows.set("typisdefined", true)
      .set("typdelim", type.delim)
      .set("typelem", type.elem_oid)
      .set("typarray", type.array_oid);
  rows.set("typalign", type.align).set("typstorage", type.storage).set("typtypmod", -1);
  const auto proc = [&](std::string_view column, std::string_view name) {
    const IoFunction* found = find_io_function(name);
    rows.set(column, found == nullptr ? Oid{0} : found->oid);
  };
  proc("typinput", type.input);
  proc("typoutput", type.output);
  proc("typreceive", type.receive);
  proc("typsend", type.send);
  const bool text = type.category == 'S' && type.typtype == 'b' && type.oid != 18;
  rows.set("typcollation", type.oid == 19 ? Oid{950} : text ? kDefaultCollation : Oid{0});
}

void types(const CatalogSession& session, RowSet& rows) {
  for (const TypeInfo& type : all_types()) type_row(rows, type, kPgCatalogSchema, kBootstrapRole);
  for (const auto& [oid, type] : session.catalog->types()) {
    type_row(rows, type->user->info(), type->schema, type->owner);
    if (type->kind == 'd') {
      rows.set("typbasetype", type->base).set("typtypmod", type->typmod).set("typnotnull", type->not_null);
      if (type->default_text) {
        const std::string shown = shown_expression(*type->default_text, CatalogKernels(session));
        rows.set("typdefault", shown).set("typdefaultbin", *type->default_text);
      }
    }
    type_row(rows, type->user->array_info(), type->schema, type->owner);
  }
}

void enums(const CatalogSession& session, RowSet& rows) {
  for (const auto& [oid, type] : session.catalog->types()) {
    for (const EnumLabel& label : type->labels) {
      rows.row().set("oid", label.oid).set("enumtypid", oid).set("enumlabel", label.label);
      rows.set("enumsortorder", OwnedValue::of_real(label.order));
    }
  }
}

void ranges(const CatalogSession&, RowSet& rows) {
  for (const TypeInfo& type : all_types()) {
    if (!is_range(type.oid)) continue;
    rows.row().set("rngtypid", type.oid).set("rngsubtype", subtype_of_range(type.oid));
    rows.set("rngmultitypid", multirange_of(type.oid));
  }
}

std::string vector_of(const std::vector<Oid>& oids) {
  std::string out;
  for (const Oid oid : oids) out += (out.empty() ? "" : " ") + std::to_string(oid);
  return out;
}

void procs(const CatalogSession& session, RowSet& rows) {
  user_procs(session, rows);
  for (const Kernel& kernel : all_kernels()) {
    if (kernel.is_operator || lookup_any(kernel.name).empty()) continue;
    rows.row().set("oid", kernel.oid).set("proname", kernel.name).set("pronamespace", kPgCatalogSchema);
    rows.set("proowner", kBootstrapRole).set("prolang", Oid{12}).set("procost", OwnedValue::of_real(1));
    rows.set("prokind", kernel.kind == KernelKind::kAggregate ? 'a' : 'f').set("proisstrict", kernel.strict);
    rows.set("proretset", kernel.kind == KernelKind::kSetReturning).set("provolatile", kernel.volatility);
    rows.set("proparallel", 's').set("pronargs", static_cast<std::int64_t>(kernel.args.size()));
    rows.set("pronargdefaults", kernel.defaults)
        .set("prorettype", kernel.result)
        .set("provariadic", kernel.variadic);
    rows.set("proargtypes", vector_of(kernel.args)).set("prosrc", kernel.name);
  }
  for (const IoFunction& io : io_functions()) {
    if (find_kernel(io.oid) != nullptr) continue;
    rows.row().set("oid", io.oid).set("proname", io.name).set("pronamespace", kPgCatalogSchema);
    rows.set("proowner", kBootstrapRole).set("prolang", Oid{12}).set("procost", OwnedValue::of_real(1));
    rows.set("prokind", 'f').set("proisstrict", true).set("provolatile", io.volatility);
    rows.set("proparallel", 's').set("prorettype", io.result).set("proargtypes", io.args);
    rows.set("pronargs", std::int64_t{1} + std::ranges::count(io.args, ' ')).set("prosrc", io.name);
  }
}

void operators(const CatalogSession&, RowSet& rows) {
  for (const Kernel& kernel : all_kernels()) {
    if (!kernel.is_operator) continue;
    const bool prefix = kernel.args.size() == 1;
    rows.row().set("oid", kernel.oid).set("oprname", kernel.name).set("oprnamespace", kPgCatalogSchema);
    rows.set("oprowner", kBootstrapRole).set("oprkind", prefix ? 'l' : 'b').set("oprresult", kernel.result);
    rows.set("oprleft", prefix ? Oid{0} : kernel.args[0]).set("oprright", kernel.args.back());
  }
}

void access_methods(const CatalogSession&, RowSet& rows) {
  rows.row().set("oid", Oid{2}).set("amname", "heap").set("amtype", 't');
  rows.row().set("oid", Oid{403}).set("amname", "btree").set("amtype", 'i');
}

void collations(const CatalogSession&, RowSet& rows) {
  const auto add = [&](Oid oid, std::string_view name, std::string_view locale, char provider) {
    rows.row().set("oid", oid).set("collname", name).set("collnamespace", kPgCatalogSchema);
    rows.set("collowner", kBootstrapRole).set("collprovider", provider).set("collisdeterministic", true);
    rows.set("collencoding", -1);
    if (!locale.empty()) rows.set("collcollate", locale).set("collctype", locale);
  };
  add(100, "default", "", 'd');
  add(950, "C", "C", 'c');
  add(951, "POSIX", "POSIX", 'c');
}

void languages(const CatalogSession&, RowSet& rows) {
  rows.row().set("oid", Oid{12}).set("lanname", "internal").set("lanowner", kBootstrapRole);
  rows.row()
      .set("oid", Oid{14})
      .set("lanname", "sql")
      .set("lanowner", kBootstrapRole)
      .set("lanpltrusted", true);
  rows.row()
      .set("oid", kPlpgsqlLanguage)
      .set("lanname", "plpgsql")
      .set("lanowner", kBootstrapRole)
      .set("lanispl", true)
      .set("lanpltrusted", true);
}

void casts(const CatalogSession&, RowSet& rows) {
  std::int64_t number = 0;
  for (const TypeInfo& from : all_types()) {
    for (const TypeInfo& to : all_types()) {
      if (from.oid == to.oid || is_true_array(from.oid) || is_true_array(to.oid)) continue;
      if (from.oid == 705 || is_pseudo(from.oid) || is_pseudo(to.oid)) continue;
      const CastContext context = cast_context(from.oid, to.oid);
      if (context == CastContext::kNone) continue;
      rows.row().set("oid", 10000 + number++).set("castsource", from.oid).set("casttarget", to.oid);
      rows.set("castcontext", context == CastContext::kImplicit     ? 'i'
                              : context == CastContext::kAssignment ? 'a'
                                                                    : 'e');
      rows.set("castmethod", 'f');
    }
  }
}

void tablespaces(const CatalogSession&, RowSet& rows) {
  rows.row().set("oid", Oid{1663}).set("spcname", "pg_default").set("spcowner", kBootstrapRole);
  rows.row().set("oid", Oid{1664}).set("spcname", "pg_global").set("spcowner", kBootstrapRole);
}

}  // namespace

std::span<const IoFunction> io_functions() {
  static constexpr IoFunction kTable[] = {
#define BOP_IO_FUNCTION(oid, name, volatility, result, args) {oid, name, volatility, result, args},
#include "sql/pg_catalog/io_functions.def"
#undef BOP_IO_FUNCTION
  };
  return kTable;
}

const IoFunction* find_io_function(std::string_view name) {
  const auto found = std::ranges::find(io_functions(), name, &IoFunction::name);
  return found == io_functions().end() ? nullptr : &*found;
}

void add_type_makers(std::map<std::string_view, MakerInfo>& makers) {
  makers["pg_type"] = {types, true};
  makers["pg_enum"] = {enums, true};
  makers["pg_range"] = {ranges, true};
  makers["pg_proc"] = {procs, true};
  makers["pg_operator"] = {operators, true};
  makers["pg_am"] = {access_methods, true};
  makers["pg_collation"] = {collations, true};
  makers["pg_language"] = {languages, true};
  makers["pg_cast"] = {casts, true};
  makers["pg_tablespace"] = {tablespaces, true};
}

}  // namespace bop::sql
