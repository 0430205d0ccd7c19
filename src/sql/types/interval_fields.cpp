// The fields of an interval type: "interval day to second".
#include <array>

#include "sql/types/datetime.hpp"
#include "sql/types/interval.hpp"

namespace bop {
namespace {

using namespace interval_fields;

struct FieldList {
  int fields;
  std::string_view names;
  std::string_view last;  // the unit of the last field
};
constexpr std::array kFieldLists{
    FieldList{kYear, " year", "year"},
    FieldList{kMonth, " month", "month"},
    FieldList{kDay, " day", "day"},
    FieldList{kHour, " hour", "hour"},
    FieldList{kMinute, " minute", "minute"},
    FieldList{kSecond, " second", "second"},
    FieldList{kYear | kMonth, " year to month", "month"},
    FieldList{kDay | kHour, " day to hour", "hour"},
    FieldList{kDay | kHour | kMinute, " day to minute", "minute"},
    FieldList{kDay | kHour | kMinute | kSecond, " day to second", "second"},
    FieldList{kHour | kMinute, " hour to minute", "minute"},
    FieldList{kHour | kMinute | kSecond, " hour to second", "second"},
    FieldList{kMinute | kSecond, " minute to second", "second"},
    FieldList{kAll, "", "second"},
};

const FieldList* find_fields(int fields) {
  for (const FieldList& list : kFieldLists) {
    if (list.fields == fields) return &list;
  }
  return nullptr;
}

}  // namespace

std::optional<std::string_view> interval_field_names(int fields) {
  const FieldList* list = find_fields(fields);
  return list == nullptr ? std::nullopt : std::optional(list->names);
}

std::string_view last_interval_unit(int fields) {
  const FieldList* list = find_fields(fields);
  return list == nullptr ? "second" : list->last;
}

Interval cut_to_fields(Interval i, int fields) {
  const std::string_view last = last_interval_unit(fields);
  if (last == "year") i.months -= i.months % 12;
  if (last == "year" || last == "month") i.days = 0;
  if (last == "year" || last == "month" || last == "day") i.us = 0;
  if (last == "hour") i.us -= i.us % (3600 * kUsPerSecond);
  if (last == "minute") i.us -= i.us % (60 * kUsPerSecond);
  return i;
}

}  // namespace bop
