#include "base/json.hpp"

#include <gtest/gtest.h>
#include <simdjson.h>

#include <limits>
#include <span>

#include "base/sim.hpp"

namespace bop {
namespace {

TEST(Json, ObjectsAndArraysNest) {
  std::string out;
  JsonWriter json(out);
  json.begin_object().member("a", 1).key("rows").begin_array();
  json.begin_object().end_object().value("x\"\n").begin_array().value(true).value(-2).end_array();
  json.end_array().member("d", 0.5).member("none", std::numeric_limits<double>::infinity());
  json.member("last", std::uint64_t{18446744073709551615U}).end_object();
  EXPECT_EQ(out,
            "{\"a\":1,\"rows\":[{},\"x\\\"\\n\",[true,-2]],\"d\":0.5,\"none\":null,"
            "\"last\":18446744073709551615}");
}

TEST(Json, AnyBytesAreAValidText) {
  simdjson::dom::parser parser;
  SimRandom random(7);
  for (int round = 0; round < 2000; ++round) {
    std::string bytes(random.below(40), '\0');
    random.fill(std::as_writable_bytes(std::span(bytes)));
    std::string out;
    append_json_text(out, bytes);
    EXPECT_EQ(parser.parse(out).error(), simdjson::SUCCESS) << out;
  }
  std::string out;
  append_json_text(out, "\xc3\xa4 \xed\xa0\x80 \xc3");
  EXPECT_EQ(out, "\"\xc3\xa4 \\ufffd\\ufffd\\ufffd \\ufffd\"");
}

}  // namespace
}  // namespace bop
