#include "sql/types/codec.hpp"

#include <gtest/gtest.h>

#include "sql/types/array.hpp"
#include "sql/types/datetime.hpp"
#include "sql/types/interval.hpp"
#include "sql/types/timezone.hpp"

namespace bop {
namespace {

struct Golden {
  const char* type;
  const char* input;
  const char* output;
};
constexpr Golden kGolden[] = {
#include "sql/types/golden_text.inc"
};

std::string shown(Oid type, std::int32_t typmod, const Result<OwnedValue>& v,
                  const CodecContext& context = {}) {
  if (!v) return "ERROR: " + v.error().what();
  std::string s;
  encode_text(type, typmod, *v, context, s);
  return s;
}
std::string through(std::string_view type, std::string_view text, const CodecContext& context = {}) {
  const Oid oid = find_type(type)->oid;
  return shown(oid, -1, parse_text(oid, -1, text, context), context);
}
std::string cast_text(std::string_view from, std::string_view to, std::string_view text) {
  const Oid a = find_type(from)->oid, b = find_type(to)->oid;
  const auto v = parse_text(a, -1, text, {});
  if (!v) return "input: " + v.error().what();
  return shown(b, -1, cast(a, b, *v, true, {}));
}

TEST(Codec, TextFormsAndErrorsArePostgresOwn) {
  for (const Golden& g : kGolden)
    EXPECT_EQ(through(g.type, g.input), g.output) << g.type << " '" << g.input << "'";
}

TEST(Codec, BinaryFormRoundTripsEveryGoldenValue) {
  for (const Golden& g : kGolden) {
    const Oid oid = find_type(std::string_view(g.type))->oid;
    const auto v = parse_text(oid, -1, g.input, {});
    if (!v) continue;
    std::string bytes;
    encode_binary(oid, -1, *v, {}, bytes);
    EXPECT_EQ(shown(oid, -1, parse_binary(oid, -1, bytes, {})), shown(oid, -1, v))
        << g.type << " '" << g.input << "'";
  }
}

TEST(Codec, BinaryFormsAreThoseOfTheProtocol) {
  const auto binary = [](Oid type, std::string_view text) {
    std::string s;
    encode_binary(type, -1, parse_text(type, -1, text, {}).value(), {}, s);
    return s;
  };
  EXPECT_EQ(binary(types::kInt4, "258"), std::string("\0\0\1\2", 4));
  EXPECT_EQ(binary(types::kNumeric, "-12.5"), std::string("\0\2\0\0\x40\0\0\1\0\x0c\x13\x88", 12));
  EXPECT_EQ(binary(types::kNumeric, "0.00"), std::string("\0\0\0\0\0\0\0\2", 8));
  EXPECT_EQ(binary(types::kJsonb, "{ }"), "\1{}");
  EXPECT_EQ(binary(types::kDate, "2000-01-02"), std::string("\0\0\0\1", 4));
}

TEST(Codec, ModifiersRefuseOnAssignmentAndCutOnCast) {
  const auto apply = [](Oid t, std::int32_t typmod, std::string_view text, bool explicit_cast) {
    return shown(t, typmod, apply_typmod(t, typmod, parse_text(t, -1, text, {}).value(), explicit_cast));
  };
  EXPECT_EQ(apply(types::kVarchar, 9, "abcdef", false),
            "ERROR: value too long for type character varying(5)");
  EXPECT_EQ(apply(types::kVarchar, 9, "abcde  ", false), "abcde");
  EXPECT_EQ(apply(types::kVarchar, 9, "abcdef", true), "abcde");
  EXPECT_EQ(apply(types::kBpchar, 9, "ab", false), "ab   ");
  const std::int32_t numeric_5_2 = encode_typmod(types::kNumeric, std::vector<std::int64_t>{5, 2}).value();
  EXPECT_EQ(apply(types::kNumeric, numeric_5_2, "123.455", false), "123.46");
  const auto overflow = apply_typmod(types::kNumeric, numeric_5_2, OwnedValue::of_text("1000"), false);
  ASSERT_FALSE(overflow);
  EXPECT_EQ(overflow.error().sqlstate(), "22003");
  EXPECT_EQ(overflow.error().fields().detail,
            "A field with precision 5, scale 2 must round to an absolute value less than 10^3.");
  EXPECT_EQ(apply(types::kTimestamp, 0, "2024-01-01 00:00:00.5", false), "2024-01-01 00:00:01");
}

TEST(Codec, CastsRoundAndCheckLikePostgres) {
  EXPECT_EQ(cast_text("float8", "int4", "2.5"), "2");
  EXPECT_EQ(cast_text("float8", "int4", "3.5"), "4");
  EXPECT_EQ(cast_text("numeric", "int4", "2.5"), "3");
  EXPECT_EQ(cast_text("numeric", "int4", "-2.5"), "-3");
  EXPECT_EQ(cast_text("int8", "int4", "3000000000"), "ERROR: integer out of range");
  EXPECT_EQ(cast_text("float8", "int8", "9223372036854775808"), "ERROR: bigint out of range");
  EXPECT_EQ(cast_text("float8", "numeric", "0.1"), "0.1");
  EXPECT_EQ(cast_text("bool", "text", "t"), "true");
  EXPECT_EQ(cast_text("timestamp", "date", "2024-01-15 23:59"), "2024-01-15");
  EXPECT_EQ(cast_text("jsonb", "int4", "\"x\""), "ERROR: cannot cast jsonb string to type integer");
  EXPECT_EQ(cast_text("int4", "uuid", "1"), "ERROR: cannot cast type integer to uuid");
  EXPECT_EQ(cast_text("_int4", "_text", "{1,NULL}"), "{1,NULL}");
}

TEST(Codec, ZonesDecideOffsets) {
  CodecContext berlin;
  berlin.zone = TimeZone::find("europe/berlin");
  ASSERT_NE(berlin.zone, nullptr);
  EXPECT_EQ(through("timestamptz", "2024-07-01 12:00:00+00", berlin), "2024-07-01 14:00:00+02");
  EXPECT_EQ(through("timestamptz", "2024-03-31 02:30:00", berlin), "2024-03-31 03:30:00+02");  // the gap
  EXPECT_EQ(through("timestamptz", "2024-10-27 02:30:00", berlin), "2024-10-27 02:30:00+01");  // the overlap
  EXPECT_EQ(through("timestamptz", "2050-07-01 12:00:00+00", berlin), "2050-07-01 14:00:00+02");
  EXPECT_EQ(TimeZone::find("No/Where"), nullptr);
  EXPECT_EQ(TimeZone::find("../../etc/passwd"), nullptr);
}

TEST(Codec, OrderIsThatOfTheType) {
  EXPECT_EQ(compare(types::kNumeric, Value::of_text("1.0"), Value::of_text("1.00")), 0);
  EXPECT_LT(compare(types::kNumeric, Value::of_text("-10"), Value::of_text("-9.5")), 0);
  EXPECT_GT(compare(types::kNumeric, Value::of_text("NaN"), Value::of_text("Infinity")), 0);
  EXPECT_EQ(compare(types::kInterval, Value::of_text("0 1 0"), Value::of_text("0 0 86400000000")), 0);
  EXPECT_LT(compare(types::kJsonb, Value::of_text("[]"), Value::of_text("null")), 0);
  EXPECT_GT(compare(types::kInt4Array, Value::of_text("{1,10}"), Value::of_text("{1,2}")), 0);
}

TEST(Types, NamesModifiersAndCasts) {
  EXPECT_EQ(find_type("integer")->oid, types::kInt4);
  EXPECT_EQ(find_type("timestamp with time zone")->oid, types::kTimestamptz);
  EXPECT_EQ(find_type("character varying[]")->oid, types::kVarcharArray);
  EXPECT_EQ(find_type("nothing"), nullptr);
  EXPECT_EQ(format_type(types::kVarchar, 14), "character varying(10)");
  EXPECT_EQ(format_type(types::kTimestamptz, 3), "timestamp(3) with time zone");
  EXPECT_EQ(cast_context(types::kInt4, types::kInt8), CastContext::kImplicit);
  EXPECT_EQ(cast_context(types::kInt8, types::kInt4), CastContext::kAssignment);
  EXPECT_EQ(cast_context(types::kText, types::kInt4), CastContext::kExplicit);
  EXPECT_EQ(cast_context(types::kUuid, types::kInt4), CastContext::kNone);
}

}  // namespace
}  // namespace bop
