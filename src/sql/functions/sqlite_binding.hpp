// What a connection's functions share. Owned by the connection (client data), freed when it closes.
#pragma once

#include <memory>
#include <vector>

#include "sql/functions/registry.hpp"

struct sqlite3_context;
struct sqlite3_value;

namespace bop {

struct Binding;
struct Slot {
  Binding* binding;
  const Kernel* kernel;
  const Implementation* implementation;
  bool distinct = false;  // an aggregate that drops equal neighbours
};
struct HelperSlot {
  Binding* binding;
  const Helper* helper;
};
struct Binding {
  FunctionContext* context = nullptr;
  std::vector<std::unique_ptr<Slot>> slots;
  std::vector<std::unique_ptr<HelperSlot>> helpers;
};

[[nodiscard]] Value value_of(sqlite3_value* v);
void set_result(sqlite3_context* sc, const Value& v);
void report(sqlite3_context* sc, FunctionContext& context, Error failure);
[[nodiscard]] Status register_set(sqlite3* connection, Slot* slot);
[[nodiscard]] Status register_files(sqlite3* connection, Binding* binding);
[[nodiscard]] Status register_collector(sqlite3* connection, Binding* binding);
[[nodiscard]] Status register_frames(sqlite3* connection, Binding* binding);   // sqlite_frames.cpp
[[nodiscard]] Status register_lateral(sqlite3* connection, Binding* binding);  // sqlite_lateral.cpp

}  // namespace bop
