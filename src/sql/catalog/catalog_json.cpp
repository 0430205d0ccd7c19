#include "sql/catalog/catalog_json.hpp"

#include <cstdint>
#include <cstdlib>

#include <fmt/format.h>
#include <simdjson.h>

#include "sql/types/json.hpp"

namespace bop::sql {

namespace {

// Writes one object; members that hold their default are left out.
class Writer {
 public:
  Writer& text(std::string_view name, std::string_view value) {
    if (!value.empty()) {
      begin(name);
      quote(value);
    }
    return *this;
  }
  Writer& letter(std::string_view name, char value, char normal = 0) {
    return value == normal || value == 0 ? *this : text(name, std::string_view(&value, 1));
  }
  Writer& number(std::string_view name, std::int64_t value, std::int64_t normal = 0) {
    if (value != normal) {
      begin(name);
      out_ += std::to_string(value);
    }
    return *this;
  }
  Writer& flag(std::string_view name, bool value) {
    if (value) {
      begin(name);
      out_ += "true";
    }
    return *this;
  }
  template <class List, class Write>
  Writer& list(std::string_view name, const List& items, Write write) {
    if (!items.empty()) {
      begin(name);
      out_ += '[';
      bool first = true;
      for (const auto& item : items) {
        if (!first) {
          out_ += ',';
        }
        first = false;
        write(item);
      }
      out_ += ']';
    }
    return *this;
  }
  Writer& numbers(std::string_view name, const std::vector<std::int16_t>& items) {
    return list(name, items, [this](std::int16_t n) { out_ += std::to_string(n); });
  }
  Writer& texts(std::string_view name, const std::vector<std::string>& items) {
    return list(name, items, [this](const std::string& s) { quote(s); });
  }
  // No list of rights is not the same as one without items.
  Writer& acl(const ObjectAcl& acl) {
    if (acl) {
      begin("acl");
      out_ += '[';
      for (const AclItem& item : *acl) {
        out_ += out_.back() == '[' ? "" : ",";
        quote(stored_item(item));
      }
      out_ += ']';
    }
    return *this;
  }
  void raw(std::string_view json) { out_ += json; }
  Writer& present(std::string_view name, std::string_view value) {
    begin(name);
    quote(value);
    return *this;
  }
  [[nodiscard]] std::string finish() {
    if (out_.empty()) {
      out_ = "{";
    }
    return std::move(out_) + "}";
  }

 private:
  void begin(std::string_view name) {
    out_ += out_.empty() ? "{" : ",";
    quote(name);
    out_ += ':';
  }
  void quote(std::string_view s) { append_json_string(s, out_); }
  std::string out_;
};

using Object = simdjson::dom::object;

std::string text_of(const Object& o, std::string_view name) {
  std::string_view s;
  return o[name].get(s) == simdjson::SUCCESS ? std::string(s) : std::string();
}
std::int64_t number_of(const Object& o, std::string_view name, std::int64_t normal = 0) {
  std::int64_t n = 0;
  return o[name].get(n) == simdjson::SUCCESS ? n : normal;
}
Oid oid_of(const Object& o, std::string_view name) { return static_cast<Oid>(number_of(o, name)); }
bool flag_of(const Object& o, std::string_view name) {
  bool b = false;
  return o[name].get(b) == simdjson::SUCCESS && b;
}
char letter_of(const Object& o, std::string_view name, char normal = 0) {
  const std::string s = text_of(o, name);
  return s.empty() ? normal : s[0];
}
template <class Read>
void each(const Object& o, std::string_view name, Read read) {
  simdjson::dom::array items;
  if (o[name].get(items) == simdjson::SUCCESS) {
    for (const simdjson::dom::element item : items) {
      read(item);
    }
  }
}
std::vector<std::int16_t> numbers_of(const Object& o, std::string_view name) {
  std::vector<std::int16_t> out;
  each(o, name, [&](simdjson::dom::element e) {
    std::int64_t n = 0;
    if (e.get(n) == simdjson::SUCCESS) {
      out.push_back(static_cast<std::int16_t>(n));
    }
  });
  return out;
}
std::vector<std::string> texts_of(const Object& o, std::string_view name) {
  std::vector<std::string> out;
  each(o, name, [&](simdjson::dom::element e) {
    std::string_view s;
    if (e.get(s) == simdjson::SUCCESS) {
      out.emplace_back(s);
    }
  });
  return out;
}

ObjectAcl acl_of(const Object& o) {
  simdjson::dom::array items;
  if (o["acl"].get(items) != simdjson::SUCCESS) {
    return std::nullopt;
  }
  Acl acl;
  for (const std::string& text : texts_of(o, "acl")) {
    if (const auto item = item_from_stored(text)) {
      acl.push_back(*item);
    }
  }
  return acl;
}

std::string column_json(const Column& c) {
  Writer w;
  w.number("num", c.number).text("name", c.name).number("type", c.type).number("typmod", c.typmod, -1);
  w.flag("not_null", c.not_null).flag("dropped", c.dropped).letter("identity", c.identity);
  w.letter("generated", c.generated).number("sequence", c.sequence);
  if (c.default_text) {
    w.present("default", *c.default_text);
  }
  w.text("collation", c.collation).text("comment", c.comment).acl(c.acl);
  return w.finish();
}

Column column_from(const Object& o) {
  Column c;
  c.number = static_cast<std::int16_t>(number_of(o, "num"));
  c.name = text_of(o, "name");
  c.type = oid_of(o, "type");
  c.typmod = static_cast<std::int32_t>(number_of(o, "typmod", -1));
  c.not_null = flag_of(o, "not_null");
  c.dropped = flag_of(o, "dropped");
  c.identity = letter_of(o, "identity");
  c.generated = letter_of(o, "generated");
  c.sequence = oid_of(o, "sequence");
  std::string_view text;
  if (o["default"].get(text) == simdjson::SUCCESS) {
    c.default_text = std::string(text);
  }
  c.collation = text_of(o, "collation");
  c.comment = text_of(o, "comment");
  c.acl = acl_of(o);
  return c;
}

std::string constraint_json(const Constraint& c) {
  Writer w;
  w.number("oid", c.oid).text("name", c.name).letter("type", c.type).numbers("columns", c.columns);
  w.number("index", c.index)
      .text("check", c.check_text)
      .flag("deferrable", c.deferrable)
      .flag("deferred", c.deferred);
  w.flag("not_validated", !c.validated).flag("no_inherit", c.no_inherit).number("table", c.foreign_table);
  w.numbers("foreign_columns", c.foreign_columns).letter("on_update", c.on_update, 'a');
  w.letter("on_delete", c.on_delete, 'a').letter("match", c.match, 's').text("comment", c.comment);
  return w.finish();
}

Constraint constraint_from(const Object& o) {
  Constraint c;
  c.oid = oid_of(o, "oid");
  c.name = text_of(o, "name");
  c.type = letter_of(o, "type", 'c');
  c.columns = numbers_of(o, "columns");
  c.index = oid_of(o, "index");
  c.check_text = text_of(o, "check");
  c.deferrable = flag_of(o, "deferrable");
  c.deferred = flag_of(o, "deferred");
  c.validated = !flag_of(o, "not_validated");
  c.no_inherit = flag_of(o, "no_inherit");
  c.foreign_table = oid_of(o, "table");
  c.foreign_columns = numbers_of(o, "foreign_columns");
  c.on_update = letter_of(o, "on_update", 'a');
  c.on_delete = letter_of(o, "on_delete", 'a');
  c.match = letter_of(o, "match", 's');
  c.comment = text_of(o, "comment");
  return c;
}

// Parses `body` and hands the object to `read`.
template <class T, class Read>
Result<T> read_object(Oid oid, std::string_view body, Read read) {
  simdjson::dom::parser parser;
  Object object;
  if (parser.parse(body.data(), body.size()).get(object) != simdjson::SUCCESS) {
    return fail(ErrorCode::kCorrupt, "the catalog row of OID {} is not a JSON object", oid);
  }
  return read(object);
}

}  // namespace

std::string to_json(const Schema& s) {
  Writer w;
  w.text("name", s.name).number("owner", s.owner, kBootstrapRole).acl(s.acl).text("comment", s.comment);
  return w.finish();
}

std::string to_json(const DefaultAcl& d) {
  Writer w;
  w.number("role", d.role).number("schema", d.schema).letter("object", d.object).acl(d.acl);
  return w.finish();
}

std::string to_json(const Relation& r) {
  Writer w;
  w.number("schema", r.schema).text("name", r.name).number("owner", r.owner, kBootstrapRole).acl(r.acl);
  w.letter("persistence", r.persistence, 'p').texts("options", r.options).text("comment", r.comment);
  w.list("columns", r.columns, [&w](const Column& c) { w.raw(column_json(c)); });
  w.list("constraints", r.constraints, [&w](const Constraint& c) { w.raw(constraint_json(c)); });
  w.text("query", r.view_text);
  w.list("reads", r.reads, [&w](const ViewRead& read) {
    w.raw(Writer()
              .number("oid", read.relation)
              .numbers("columns", read.columns)
              .numbers("used", read.used)
              .finish());
  });
  return w.finish();
}

std::string to_json(const Index& i) {
  Writer w;
  w.number("schema", i.schema)
      .text("name", i.name)
      .number("owner", i.owner, kBootstrapRole)
      .number("table", i.table);
  w.text("method", i.method == "btree" ? std::string_view() : i.method)
      .flag("unique", i.unique)
      .flag("deferrable", i.deferrable);
  w.flag("primary", i.primary).number("constraint", i.constraint).text("predicate", i.predicate);
  w.list("keys", i.keys, [&w](const IndexKey& k) {
    Writer key;
    key.number("num", k.column).text("expression", k.expression).number("type", k.type);
    key.flag("descending", k.descending).flag("nulls_first", k.nulls_first);
    w.raw(key.text("collation", k.collation).text("opclass", k.opclass).finish());
  });
  w.numbers("include", i.include).texts("options", i.options).text("comment", i.comment);
  return w.finish();
}

std::string to_json(const Sequence& s) {
  Writer w;
  w.number("schema", s.schema)
      .text("name", s.name)
      .number("owner", s.owner, kBootstrapRole)
      .acl(s.acl)
      .number("type", s.type, 20);
  w.number("start", s.start, 1).number("increment", s.increment, 1).number("min", s.min, 1);
  w.number("max", s.max, INT64_MAX).number("cache", s.cache, 1).flag("cycle", s.cycle);
  w.number("state", s.state);
  w.number("table", s.owned_by_table).number("column", s.owned_by_column).text("comment", s.comment);
  return w.finish();
}

std::string to_json(const Type& t) {
  Writer w;
  w.number("schema", t.schema).text("name", t.name).number("owner", t.owner, kBootstrapRole);
  w.letter("kind", t.kind).number("array", t.array_oid).text("array_name", t.array_name);
  w.list("labels", t.labels, [&w](const EnumLabel& label) {
    Writer item;
    item.number("oid", label.oid).present("label", label.label);
    item.number("ordinal", label.ordinal).text("order", fmt::format("{}", label.order));
    w.raw(item.finish());
  });
  w.number("type", t.base).number("typmod", t.typmod, -1).flag("not_null", t.not_null);
  if (t.default_text) {
    w.present("default", *t.default_text);
  }
  w.text("collation", t.collation);
  w.list("checks", t.checks, [&w](const DomainCheck& check) {
    Writer item;
    item.number("oid", check.oid).text("name", check.name).text("check", check.text);
    w.raw(item.flag("not_validated", !check.validated).text("comment", check.comment).finish());
  });
  w.text("comment", t.comment);
  return w.finish();
}

std::string to_json(const Function& f) {
  Writer w;
  w.number("schema", f.schema).text("name", f.name).number("owner", f.owner, kBootstrapRole).acl(f.acl);
  w.letter("kind", f.kind, 'f').text("language", f.language);
  w.list("arguments", f.arguments, [&w](const FunctionArgument& a) {
    Writer item;
    item.text("name", a.name).number("type", a.type).letter("mode", a.mode, 'i');
    if (a.default_text) {
      item.present("default", *a.default_text);
    }
    w.raw(item.finish());
  });
  w.number("result", f.result)
      .flag("set", f.returns_set)
      .flag("strict", f.strict)
      .flag("leakproof", f.leakproof);
  w.letter("volatility", f.volatility, 'v').letter("parallel", f.parallel, 'u');
  w.text("cost", fmt::format("{}", f.cost)).text("rows", fmt::format("{}", f.rows));
  w.flag("standard", f.standard_body).present("body", f.body);
  w.list("reads", f.reads, [&w](Oid oid) { w.raw(std::to_string(oid)); });
  w.text("comment", f.comment);
  return w.finish();
}

Result<Oid> state_from_json(std::string_view body) {
  return read_object<Oid>(0, body, [](const Object& o) { return oid_of(o, "next_oid"); });
}

Result<Schema> schema_from_json(Oid oid, std::string_view body) {
  return read_object<Schema>(oid, body, [&](const Object& o) {
    Schema s{.oid = oid,
             .name = text_of(o, "name"),
             .owner = static_cast<Oid>(number_of(o, "owner", kBootstrapRole)),
             .acl = acl_of(o),
             .comment = text_of(o, "comment")};
    if (!s.acl) {
      s.acl = default_schema_acl(oid, s.owner);
    }
    return s;
  });
}

Result<DefaultAcl> default_acl_from_json(Oid oid, std::string_view body) {
  return read_object<DefaultAcl>(oid, body, [&](const Object& o) {
    return DefaultAcl{.oid = oid,
                      .role = oid_of(o, "role"),
                      .schema = oid_of(o, "schema"),
                      .object = letter_of(o, "object", 'r'),
                      .acl = acl_of(o).value_or(Acl())};
  });
}

Result<Relation> relation_from_json(Oid oid, char kind, std::string_view body) {
  return read_object<Relation>(oid, body, [&](const Object& o) {
    Relation r;
    r.oid = oid;
    r.kind = kind;
    r.schema = oid_of(o, "schema");
    r.name = text_of(o, "name");
    r.owner = static_cast<Oid>(number_of(o, "owner", kBootstrapRole));
    r.acl = acl_of(o);
    r.persistence = letter_of(o, "persistence", 'p');
    r.options = texts_of(o, "options");
    r.comment = text_of(o, "comment");
    each(o, "columns", [&](simdjson::dom::element e) {
      if (Object c; e.get(c) == simdjson::SUCCESS) {
        r.columns.push_back(column_from(c));
      }
    });
    each(o, "constraints", [&](simdjson::dom::element e) {
      if (Object c; e.get(c) == simdjson::SUCCESS) {
        r.constraints.push_back(constraint_from(c));
      }
    });
    r.view_text = text_of(o, "query");
    each(o, "reads", [&](simdjson::dom::element e) {
      if (Object read; e.get(read) == simdjson::SUCCESS) {
        r.reads.push_back({.relation = oid_of(read, "oid"),
                           .columns = numbers_of(read, "columns"),
                           .used = numbers_of(read, "used")});
      }
    });
    return r;
  });
}

Result<Index> index_from_json(Oid oid, std::string_view body) {
  return read_object<Index>(oid, body, [&](const Object& o) {
    Index i;
    i.oid = oid;
    i.schema = oid_of(o, "schema");
    i.name = text_of(o, "name");
    i.owner = static_cast<Oid>(number_of(o, "owner", kBootstrapRole));
    i.table = oid_of(o, "table");
    const std::string method = text_of(o, "method");
    i.method = method.empty() ? "btree" : method;
    i.unique = flag_of(o, "unique");
    i.deferrable = flag_of(o, "deferrable");
    i.primary = flag_of(o, "primary");
    i.constraint = oid_of(o, "constraint");
    i.predicate = text_of(o, "predicate");
    each(o, "keys", [&](simdjson::dom::element e) {
      if (Object k; e.get(k) == simdjson::SUCCESS) {
        i.keys.push_back({.column = static_cast<std::int16_t>(number_of(k, "num")),
                          .expression = text_of(k, "expression"),
                          .type = oid_of(k, "type"),
                          .descending = flag_of(k, "descending"),
                          .nulls_first = flag_of(k, "nulls_first"),
                          .collation = text_of(k, "collation"),
                          .opclass = text_of(k, "opclass")});
      }
    });
    i.include = numbers_of(o, "include");
    i.options = texts_of(o, "options");
    i.comment = text_of(o, "comment");
    return i;
  });
}

Result<Sequence> sequence_from_json(Oid oid, std::string_view body) {
  return read_object<Sequence>(oid, body, [&](const Object& o) {
    Sequence s;
    s.oid = oid;
    s.schema = oid_of(o, "schema");
    s.name = text_of(o, "name");
    s.owner = static_cast<Oid>(number_of(o, "owner", kBootstrapRole));
    s.acl = acl_of(o);
    s.type = static_cast<Oid>(number_of(o, "type", 20));
    s.start = number_of(o, "start", 1);
    s.increment = number_of(o, "increment", 1);
    s.min = number_of(o, "min", 1);
    s.max = number_of(o, "max", INT64_MAX);
    s.cache = number_of(o, "cache", 1);
    s.cycle = flag_of(o, "cycle");
    s.state = oid_of(o, "state");
    s.owned_by_table = oid_of(o, "table");
    s.owned_by_column = static_cast<std::int16_t>(number_of(o, "column"));
    s.comment = text_of(o, "comment");
    return s;
  });
}

Result<Type> type_from_json(Oid oid, std::string_view body) {
  return read_object<Type>(oid, body, [&](const Object& o) {
    Type t;
    t.oid = oid;
    t.schema = oid_of(o, "schema");
    t.name = text_of(o, "name");
    t.owner = static_cast<Oid>(number_of(o, "owner", kBootstrapRole));
    t.kind = letter_of(o, "kind", 'e');
    t.array_oid = oid_of(o, "array");
    t.array_name = text_of(o, "array_name");
    each(o, "labels", [&](simdjson::dom::element e) {
      if (Object label; e.get(label) == simdjson::SUCCESS) {
        t.labels.push_back({.oid = oid_of(label, "oid"),
                            .label = text_of(label, "label"),
                            .ordinal = number_of(label, "ordinal"),
                            .order = std::strtof(text_of(label, "order").c_str(), nullptr)});
      }
    });
    t.base = oid_of(o, "type");
    t.typmod = static_cast<std::int32_t>(number_of(o, "typmod", -1));
    t.not_null = flag_of(o, "not_null");
    std::string_view text;
    if (o["default"].get(text) == simdjson::SUCCESS) {
      t.default_text = std::string(text);
    }
    t.collation = text_of(o, "collation");
    each(o, "checks", [&](simdjson::dom::element e) {
      if (Object check; e.get(check) == simdjson::SUCCESS) {
        t.checks.push_back({.oid = oid_of(check, "oid"),
                            .name = text_of(check, "name"),
                            .text = text_of(check, "check"),
                            .validated = !flag_of(check, "not_validated"),
                            .comment = text_of(check, "comment")});
      }
    });
    t.comment = text_of(o, "comment");
    return t;
  });
}

Result<Function> function_from_json(Oid oid, std::string_view body) {
  return read_object<Function>(oid, body, [&](const Object& o) {
    Function f;
    f.oid = oid;
    f.schema = oid_of(o, "schema");
    f.name = text_of(o, "name");
    f.owner = static_cast<Oid>(number_of(o, "owner", kBootstrapRole));
    f.acl = acl_of(o);
    f.kind = letter_of(o, "kind", 'f');
    f.language = text_of(o, "language");
    each(o, "arguments", [&](simdjson::dom::element e) {
      if (Object a; e.get(a) == simdjson::SUCCESS) {
        FunctionArgument argument{.name = text_of(a, "name"),
                                  .type = oid_of(a, "type"),
                                  .mode = letter_of(a, "mode", 'i'),
                                  .default_text = std::nullopt};
        std::string_view text;
        if (a["default"].get(text) == simdjson::SUCCESS) {
          argument.default_text = std::string(text);
        }
        f.arguments.push_back(std::move(argument));
      }
    });
    f.result = oid_of(o, "result");
    f.returns_set = flag_of(o, "set");
    f.strict = flag_of(o, "strict");
    f.leakproof = flag_of(o, "leakproof");
    f.volatility = letter_of(o, "volatility", 'v');
    f.parallel = letter_of(o, "parallel", 'u');
    f.cost = std::strtod(text_of(o, "cost").c_str(), nullptr);
    f.rows = std::strtod(text_of(o, "rows").c_str(), nullptr);
    f.standard_body = flag_of(o, "standard");
    f.body = text_of(o, "body");
    each(o, "reads", [&](simdjson::dom::element e) {
      if (std::int64_t read = 0; e.get(read) == simdjson::SUCCESS) {
        f.reads.push_back(static_cast<Oid>(read));
      }
    });
    f.comment = text_of(o, "comment");
    return f;
  });
}

}  // namespace bop::sql
