// The binder's state and its parts; bind_*.cpp hold one part each.
//
// A Binder binds one statement and is used once. Failures are thrown as BindFailure inside the binder only:
// bind() catches them, none leaves the layer.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "sql/bind.hpp"
#include "sql/query.hpp"
#include "sql/stored_text.hpp"
#include "sql/tree.hpp"
#include "sql/types/types.hpp"

namespace bop::sql {

struct BindFailure {
  Error error;
};

// Where an expression stands; decides what is allowed in it and how errors call the place.
enum class Clause : std::uint8_t {
  kSelect,
  kWhere,
  kJoin,
  kFrom,
  kGroupBy,
  kHaving,
  kOrderBy,
  kDistinctOn,
  kLimit,
  kOffset,
  kValues,
  kReturning,
  kUpdateSet,
  kFilter,
  kWindow,
  kCheck,
  kDefault,
  kIndex,
  kIndexPredicate,
  kGenerated,
  kTransform,  // ALTER COLUMN TYPE ... USING
  kConflict,
  kMergeWhen,
  kCopyWhere,
  kLateral,  // around a subquery in FROM
};
[[nodiscard]] std::string_view clause_name(Clause clause);

// One name of FROM: what `alias.column` and bare columns may mean.
struct ScopeItem {
  std::string alias;   // empty: no qualified access
  std::string schema;  // of a table without alias
  std::vector<std::pair<std::string, ExprRef>> columns;
  bool columns_visible = true;  // without qualification, and in *
  RangeRef entry;               // null for a join
  // While FROM is bound: an item behind it may refer to it (LATERAL). Not so the table that a statement
  // changes, and what stands left of RIGHT and FULL JOIN.
  enum class Lateral : std::uint8_t { kYes, kTarget, kOuterJoin } lateral = Lateral::kYes;
};

struct Scope {
  Scope* parent = nullptr;
  Query* query = nullptr;
  int depth = 1;
  std::vector<ScopeItem> items;
  std::vector<RangeRef> range_table;  // what FROM has had, out of reach or not, for hints
  std::vector<std::shared_ptr<Cte>> ctes;
  std::vector<std::string> later_ctes;  // of the same WITH, not bound yet
  Clause clause = Clause::kSelect;
  bool in_aggregate = false;
  bool in_window = false;
  bool has_aggregate = false;
  bool has_window = false;
  std::vector<std::pair<std::string, std::shared_ptr<Window>>> windows;
  // Set-returning calls of the select list, to be joined to FROM.
  std::vector<RangeRef> expanded;
  bool may_expand = false;    // binding the select list's own expressions
  bool merge_source = false;  // its items are seen beside the target of an action of MERGE
};

// A call of a user's function that is replaced by the function's body.
struct InlinedCall {
  const Function* function = nullptr;
  std::vector<ExprRef> args;  // of the types that the function has, the input arguments in order
  const InlinedCall* outer = nullptr;
  int depth = 0;  // of the query that calls
};

class Binder {
 public:
  Binder(const ParsedStatementPtr& statement, const BindContext& context,
         std::span<const Oid> parameter_types);
  ~Binder();
  Binder(const Binder&) = delete;
  Binder& operator=(const Binder&) = delete;

  // ---- bind_select.cpp, bind_set_operation.cpp, bind_from.cpp
  QueryRef select(const PgQuery__SelectStmt& stmt, Scope* parent, bool resolve_unknown);
  void bind_ctes(const PgQuery__WithClause* with, Scope& scope, std::vector<std::shared_ptr<Cte>>& out);
  std::unique_ptr<FromNode> from_item(const pg::Node& node, Scope& scope);
  RangeRef table_entry(const std::shared_ptr<const Relation>& relation, std::string alias, int depth);
  std::shared_ptr<const Relation> find_relation(const PgQuery__RangeVar& range, bool for_change,
                                                const Scope* scope = nullptr);
  ScopeItem scope_item(const RangeRef& entry) const;
  RangeRef view_entry(const std::shared_ptr<const Relation>& view, std::string alias, int depth);
  // Null: the name is no sequence's.
  RangeRef sequence_item(const PgQuery__RangeVar& range, std::string alias, Scope& scope);

  // ---- bind_dml.cpp
  Change insert(const PgQuery__InsertStmt& stmt, Scope* outer = nullptr);
  Change update(const PgQuery__UpdateStmt& stmt, Scope* outer = nullptr);
  Change remove(const PgQuery__DeleteStmt& stmt, Scope* outer = nullptr);
  Merge merge(const PgQuery__MergeStmt& stmt);  // bind_merge.cpp
  // SQL that looks at the stored row `alias` of a table, in whose `columns` something was changed; empty if
  // nothing has to hold.
  std::string stored_row_check(const std::shared_ptr<const Relation>& table,
                               const std::set<std::int16_t>& columns, std::string_view alias);

  // ---- bind_expression.cpp and its parts
  ExprRef expression(const pg::Node& node, Scope& scope);
  ExprRef expression(const pg::Node& node, Scope& scope, Clause clause);
  ExprRef boolean(const pg::Node& node, Scope& scope, Clause clause, std::string_view what);
  ExprRef function_call(const PgQuery__FuncCall& call, Scope& scope);
  ExprRef make_call(std::string_view schema, std::string_view name, std::vector<ExprRef> args, int location,
                    bool variadic = false);
  // ---- bind_user_function.cpp
  // nullptr if no user's function of that name is what is meant.
  ExprRef user_call(const PgQuery__FuncCall& call, std::string_view schema, std::string_view name,
                    std::vector<ExprRef>& args, Scope& scope);
  void window_arguments(Expr& made, std::vector<ExprRef> args, int location);
  [[noreturn]] void no_function(std::string_view name, std::span<const Oid> args, int location) const;
  ExprRef make_operator(std::string_view name, ExprRef left, ExprRef right, int location);
  ExprRef sub_link(const PgQuery__SubLink& link, Scope& scope);
  ExprRef column_reference(const PgQuery__ColumnRef& ref, Scope& scope);
  std::vector<Target> expand_star(const PgQuery__ColumnRef& ref, Scope& scope);
  std::vector<Target> target_list(pg::NodeList list, Scope& scope, Clause clause);
  ExprRef column_of(const RangeRef& entry, std::size_t index, int location = -1) const;

  // ---- bind_record.cpp
  // All columns of an item of FROM, as one value.
  ExprRef whole_row(const ScopeItem& item, int location);
  ExprRef whole_row_star(const PgQuery__ColumnRef& ref, Scope& scope);
  // Names and types of a record's fields; empty where they are not known.
  [[nodiscard]] std::vector<RangeColumn> fields_of(const Expr& e) const;
  ExprRef field_of(ExprRef record, std::string_view name, int location);
  // (record).*
  std::vector<Target> expand_fields(const PgQuery__AIndirection& star, Scope& scope);

  // ---- coerce.cpp
  // Casts to a type; fails as PostgreSQL does when `context` does not allow it.
  ExprRef coerce(ExprRef e, Oid type, std::int32_t typmod, CastContext context, int location = -1);
  // nullptr when it is not allowed.
  ExprRef try_coerce(ExprRef e, Oid type, std::int32_t typmod, CastContext context, int location = -1);
  ExprRef coerce_to_domain(ExprRef e, Oid type, CastContext context, int location);
  // Notes what the call of a kernel with arguments of these types depends on.
  void note_volatility(const Kernel& kernel, std::span<const Oid> args);
  // char(n) as those see it who do not compare it: with its blanks, as far as its length is known.
  ExprRef padded(ExprRef e) const;
  void tell_literal(int location, Oid type, const OwnedValue& value);
  [[nodiscard]] bool can_coerce(Oid from, Oid to, CastContext context) const;
  ExprRef coerce_assignment(ExprRef e, const Column& column, int location);
  ExprRef coerce_boolean(ExprRef e, std::string_view what);
  ExprRef resolve_unknown(ExprRef e);              // to text
  [[nodiscard]] Oid type_of(const Expr& e) const;  // of a parameter the newest; kUnknown when not known
  // The type that UNION, CASE, VALUES... give their branches.
  Oid common_type(std::span<const ExprRef> branches, std::string_view what);
  // As for operands of a list: common type or 0.
  Oid common_type_or_none(std::span<const ExprRef> branches) const;
  [[nodiscard]] bool meet_in_base_types(std::span<const ExprRef> branches) const;
  static std::int32_t common_typmod(std::span<const ExprRef> branches);

  // ---- bind_check.cpp
  void check_grouping(const Query& query);
  // Decides to which query around it a bound aggregate belongs, and whether it may stand there.
  void place_aggregate(Expr& aggregate, Scope& scope) const;

  ExprRef constant(Oid type, OwnedValue value, int location = -1) const;
  ExprRef text_constant(std::string_view text) const;
  ExprRef null_constant(Oid type) const;
  ExprRef parameter(int number, int location);
  [[nodiscard]] int position(int location) const { return text_hidden_ ? 0 : statement_->position(location); }
  [[noreturn]] void raise(Error e, int location = -1) const;
  [[noreturn]] void not_implemented(std::string_view what, int location = -1) const;
  [[nodiscard]] TypeRef type_name(const PgQuery__TypeName& name) const;
  void tell_type(const PgQuery__TypeName& name, Oid type) const;
  RangeRef new_entry(RangeKind kind, std::string alias, int depth);

  // Binds the text of a default, CHECK or view of the catalog: no positions, own names.
  template <class Function>
  auto with_text(const ParsedStatementPtr& statement, Function f) {
    ParsedStatementPtr saved = std::exchange(statement_, statement);
    const bool hidden = std::exchange(text_hidden_, true);
    const InlinedCall* inlined = std::exchange(inlined_, nullptr);
    struct Restore {
      Binder& binder;
      ParsedStatementPtr& statement;
      bool hidden;
      const InlinedCall* inlined;
      ~Restore() {
        binder.statement_ = std::move(statement);
        binder.text_hidden_ = hidden;
        binder.inlined_ = inlined;
      }
    } restore{*this, saved, hidden, inlined};
    return f();
  }

  // The schemas that names without one are looked for in: of a function's body its caller's, also where the
  // text around it has none.
  [[nodiscard]] const std::vector<std::string>& path() const {
    return inlined_ != nullptr && context_.body_path ? *context_.body_path : context_.search_path;
  }
  void used_relation(Oid oid);
  // Asks for the rights, of the user or of the owner of the view that is being bound.
  void ask_for(const Relation& relation, Rights rights);
  void ask_for(const Relation& relation, Rights rights, Oid role);
  // Of the columns of a relation that has been asked for.
  void note_columns(const Relation& relation, Oid role, Rights right, std::span<const std::int16_t> columns);
  void note_changed(const Change& change, Rights right, const std::vector<std::int16_t>& columns);
  void note_read(const RangeEntry& entry, std::size_t column);
  // SELECT on the changed table, if a change reads its rows.
  void ask_for_reading(const Change& change);
  const std::vector<Oid>& parameters() const { return parameters_; }
  std::vector<Oid>& parameters() { return parameters_; }
  const BindContext& context() const { return context_; }
  const ParsedStatement& statement() const { return *statement_; }

  std::vector<Oid> relations;
  std::vector<RelationUse> uses;
  std::vector<FunctionUse> function_uses;
  bool needs_writer = false;
  bool lock_nowait = false;  // a locking clause says NOWAIT
  bool is_volatile = false;
  bool has_stable = false;
  bool has_subquery = false;
  NamesFound* names_found = nullptr;  // where to tell what names mean; null: nobody asks

 private:
  friend class SelectBinder;
  // The call's arguments in the places of the function's: by position or name, defaults and VARIADIC settled.
  std::vector<ExprRef> settle_arguments(const Function& function, const PgQuery__FuncCall& call,
                                        std::vector<ExprRef> args, std::span<const Oid> wanted, Scope& scope);
  // The call as an expression of its body, nullptr if that would mean something else.
  ExprRef inline_call(const Function& function, const std::vector<ExprRef>& args, Oid result, Scope& scope,
                      int location);
  ExprRef inline_body(const Function& function, const pg::Node& body, Oid result, Scope& scope);
  // A set: FROM (its query).
  RangeRef inline_set(const Function& function, const std::vector<ExprRef>& args, std::string alias,
                      Scope& scope, int location);
  // A parameter of the function whose body is bound; nullptr if it has none of that name.
  ExprRef inlined_argument(std::string_view qualifier, std::string_view name) const;
  ExprRef named_value(std::string_view qualifier, std::string_view name, int location);
  ExprRef plain_parameter(int number, int location);
  ExprRef parameter_of(const NamedValues::Found& found, int location);
  ExprRef expression_node(const pg::Node& node, Scope& scope);
  ExprRef constant_node(const PgQuery__AConst& c);
  ExprRef operator_expression(const PgQuery__AExpr& e, Scope& scope);
  ExprRef comparison(std::string_view op, ExprRef left, ExprRef right, int location);
  ExprRef row_comparison(std::string_view op, const Expr& left, const Expr& right, int location);
  ExprRef in_list(const PgQuery__AExpr& e, Scope& scope);
  ExprRef row_subquery(const PgQuery__AExpr& e, Scope& scope);
  void check_inside_subquery(const Expr& left, int location) const;
  ExprRef quantified_array(const PgQuery__AExpr& e, Scope& scope);
  ExprRef case_expression(const PgQuery__CaseExpr& e, Scope& scope);
  ExprRef type_cast(const PgQuery__TypeCast& e, Scope& scope);
  ExprRef array_expression(const PgQuery__AArrayExpr& e, Scope& scope, Oid array_type, std::int32_t typmod);
  ExprRef indirection(const PgQuery__AIndirection& e, Scope& scope);
  ExprRef value_function(const PgQuery__SQLValueFunction& f);
  ExprRef window_call(const PgQuery__FuncCall& call, ExprRef made, Scope& scope);
  std::shared_ptr<Window> window_definition(const PgQuery__WindowDef& def, Scope& scope);
  ExprRef find_column(std::string_view name, Scope& scope, int location,
                      std::vector<std::string>* reference = nullptr);
  // A use of a column by its name.
  ExprRef named(const ExprRef& e, int location);
  // How `scope` can refer to a column of an item without doubt, with the item's name if possible; empty: it
  // cannot.
  [[nodiscard]] std::vector<std::string> reference_to(const ScopeItem& item, const Scope& owner,
                                                      const std::string& name, const ExprRef& e,
                                                      const Scope& scope) const;
  // Refuses a column of another database.
  void check_qualification(const PgQuery__ColumnRef& ref) const;
  void tell_read(const PgQuery__RangeVar& range, const Relation& relation);
  // Fail with what PostgreSQL suggests instead of a name.
  [[noreturn]] void raise_missing_column(std::string_view table, std::string_view column, const Scope& scope,
                                         int location) const;
  [[noreturn]] void raise_missing_table(std::string_view schema, std::string_view table, const Scope& scope,
                                        int location) const;
  ExprRef set_returning(ExprRef call, Scope& scope, std::string_view name);
  void run_together(const std::vector<RangeRef>& entries);
  std::vector<SortKey> sort_clause(pg::NodeList list, Query& query, Scope& scope, bool output_only);
  ExprRef output_or_expression(const pg::Node& node, Query& query, Scope& scope, Clause clause,
                               bool output_only);
  void lock_rows(const PgQuery__LockingClause& lock, const Query& query, const Scope& scope);
  // The rights that locking needs on the tables of `entry`, and of a view's or subquery's own.
  void ask_for_locking(const RangeEntry& entry, Oid role);
  void ask_for_locking(const FromNode& node, Oid role);
  ExprRef limit_expression(const pg::Node& node, Scope& scope, Clause clause);
  QueryRef set_operation(const PgQuery__SelectStmt& stmt, Scope& scope, bool resolve_unknown);
  QueryRef values(const PgQuery__SelectStmt& stmt, Scope& scope, bool resolve_unknown);
  QueryRef plain_select(const PgQuery__SelectStmt& stmt, Scope& scope, bool resolve_unknown);
  void bind_changing_cte(const PgQuery__CommonTableExpr& def, bool recursive, Cte& cte, Scope& scope);
  std::shared_ptr<Cte> bind_cte(const PgQuery__CommonTableExpr& def, bool recursive, Scope& scope);
  void coerce_column(Query& query, std::size_t column, Oid type, std::int32_t typmod, CastContext context);
  void name_output(Query& query);
  std::unique_ptr<FromNode> join_item(const PgQuery__JoinExpr& join, Scope& scope);
  // bind_lateral.cpp
  RangeRef subquery_entry(const PgQuery__RangeSubselect& range, Scope& scope);
  RangeRef sampled_entry(const PgQuery__RangeTableSample& sample, Scope& scope);
  void note_lateral(RangeEntry& entry) const;
  void check_lateral(const ScopeItem& item, int location) const;
  // bind_grouping.cpp
  void group_clause(const PgQuery__SelectStmt& stmt, Query& query, Scope& scope);
  ExprRef grouping_function(const PgQuery__GroupingFunc& f, Scope& scope);
  // bind_ordered_set.cpp
  ExprRef ordered_set_call(const PgQuery__FuncCall& call, Scope& scope);
  // bind_window.cpp
  ExprRef frame_offset(const PgQuery__WindowDef& def, bool start, const Window& window, Scope& scope);
  ExprRef range_offset(ExprRef offset, const Expr& key);
  RangeRef function_entry(const PgQuery__RangeFunction& range, Scope& scope);
  // nullptr: it is no function over a file.
  RangeRef file_entry(const PgQuery__Node& node, const PgQuery__RangeFunction& range, Scope& scope);
  RangeRef functions_entry(const PgQuery__RangeFunction& range, Scope& scope);
  void add_to_scope(Scope& scope, ScopeItem item);
  void rename_columns(RangeEntry& entry, const PgQuery__Alias* alias, std::string_view what);
  ExprRef column_default(const Column& column);
  void bind_checks(Change& change, const std::set<std::int16_t>* changed);
  void bind_generated(Change& change);  // bind_generated.cpp
  void bind_other_tables(Change& change, pg::NodeList list, Scope& scope);
  void bind_returning(Change& change, pg::NodeList list, Scope& scope);
  void bind_upsert(Change& change, const PgQuery__OnConflictClause& clause, Scope& scope);
  bool is_arbiter(const Index& index, const RangeRef& bare, const std::set<std::int16_t>& columns,
                  const std::vector<ExprRef>& expressions, const ExprRef& where, Upsert& upsert);
  [[noreturn]] void refuse_deferrable(const Index& index) const;
  void add_merge_source(Scope& scope, const Scope* outer);
  // What an INSERT, UPDATE or DELETE names (view_target.cpp): the table, or the one behind a view.
  void bind_target(Change& change, const PgQuery__RangeVar& name, Scope& scope, Rights rights);
  void bind_view_checks(Change& change);
  ScopeItem target_item(const Change& change) const;
  struct TargetColumn {
    std::string name;
    const Column* column = nullptr;
  };
  [[nodiscard]] static const Relation& named_relation(const Change& change);
  [[nodiscard]] std::vector<TargetColumn> target_columns(const Change& change) const;
  [[nodiscard]] const Column* assigned_column(const Change& change, std::string_view name,
                                              int location) const;
  void refuse_computed(const Change& change, const TargetColumn& column) const;
  ExprRef row_column(const PgQuery__MultiAssignRef& multi, Scope& scope, QueryRef& rows);
  std::vector<Assignment> assignments(pg::NodeList list, const Change& change, Scope& scope);
  void columns_of_query(RangeEntry& entry, const Query& query) const;

  ParsedStatementPtr statement_;
  const BindContext& context_;
  std::vector<Oid> parameters_;
  std::vector<bool> fixed_;  // the client said the type
  int next_entry_ = 1;
  int next_cte_ = 1;
  std::vector<std::shared_ptr<Cte>>
      recursive_ctes_;  // their queries refer to them: the circles are cut at the end
  int depth_of_views_ = 0;
  const Relation* view_ = nullptr;        // the view whose query is being bound
  const InlinedCall* inlined_ = nullptr;  // the function whose body is being bound
  // Bodies, as long as their nodes tell subqueries apart; and what calls have become, to be found again.
  bool sees_sequences_ = false;  // in the text of sequence_item
  std::vector<ParsedStatementPtr> bodies_;
  struct KnownCall {
    const Function* function;
    std::vector<ExprRef> args;
    const Scope* scope;
    ExprRef made;
  };
  std::vector<KnownCall> known_calls_;
  bool text_hidden_ = false;
};

// The columns and the generated ones that are computed from them.
[[nodiscard]] std::set<std::int16_t> with_generated(const Change& change, std::set<std::int16_t> columns);
// A value for a column that is generated or an identity ALWAYS, 428C9.
[[nodiscard]] Error generated_always(const Column& column, bool update);

// The result of a function that exists only with OVER, 0 for that of its argument.
[[nodiscard]] std::optional<Oid> window_function(std::string_view name, std::size_t nargs);
[[nodiscard]] bool is_ordered_set_aggregate(std::string_view name);

// "a.b" for messages.
[[nodiscard]] std::string name_list(pg::NodeList names);

}  // namespace bop::sql
