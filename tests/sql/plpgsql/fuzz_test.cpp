// Random mutations of PL/pgSQL through its parser: never a crash and never an internal error.
#include <gtest/gtest.h>

#include <random>
#include <string>

#include "sql/plpgsql/program.hpp"

namespace bop::sql {
namespace {

constexpr const char* kCorpus[] = {
    "BEGIN NULL; END",
    "<<a>> DECLARE x int := 1; y CONSTANT text NOT NULL DEFAULT 'b'; r record; t emp%ROWTYPE; v emp.id%TYPE; "
    "BEGIN x := x + 1; a.x := 2; r.f := y; END a;",
    "BEGIN IF a > 1 THEN RETURN 2; ELSIF b THEN NULL; ELSE PERFORM f(1, $1); END IF; END",
    "BEGIN CASE x WHEN 1, 2 THEN NULL; ELSE RAISE NOTICE 'n % %', 1, now(); END CASE; END",
    "BEGIN <<l>> FOR i IN REVERSE 10..1 BY 2 LOOP EXIT l WHEN i = 5; CONTINUE; END LOOP l; END",
    "DECLARE r record; BEGIN FOR r IN SELECT * FROM emp WHERE id = $2 LOOP NULL; END LOOP; END",
    "BEGIN FOREACH x SLICE 1 IN ARRAY a LOOP NULL; END LOOP; WHILE true LOOP EXIT; END LOOP; END",
    "BEGIN EXECUTE format('SELECT %I', n) INTO STRICT x USING 1, $$q$$; GET DIAGNOSTICS n = ROW_COUNT; END",
    "BEGIN INSERT INTO t VALUES (1) RETURNING id INTO x; EXCEPTION WHEN unique_violation OR SQLSTATE '22012' "
    "THEN RAISE; WHEN OTHERS THEN RAISE EXCEPTION USING ERRCODE = 'P0001', MESSAGE = SQLERRM; END",
    "DECLARE BEGIN /* /* nested */ */ -- line\n ASSERT 1 = 1, 'no'; RETURN QUERY SELECT 1; END",
};

std::string mutated(std::mt19937& random) {
  std::string s = kCorpus[random() % std::size(kCorpus)];
  for (unsigned n = random() % 5; n > 0; --n) {
    const std::size_t at = s.empty() ? 0 : random() % s.size();
    switch (random() % 5) {
      case 0: s.insert(at, 1, static_cast<char>(1 + random() % 255)); break;
      case 1:
        if (!s.empty()) s.erase(at, 1 + random() % 12);
        break;
      case 2:
        if (!s.empty()) s[at] = ";:=()'\"$<>.,%\\ \n"[random() % 16];
        break;
      case 3: {
        const std::string_view other = kCorpus[random() % std::size(kCorpus)];
        s.insert(at, other.substr(random() % other.size(), random() % 60));
        break;
      }
      default: s.resize(at); break;
    }
  }
  return s;
}

TEST(PlpgsqlFuzz, MutatedBlocksAreParsedOrRefused) {
  std::mt19937 random(20261121);
  int accepted = 0;
  int refused = 0;
  for (int i = 0; i < 20000; ++i) {
    const std::string text = mutated(random);
    const auto program = plpgsql::parse_program(text, "f", {}, i % 2 == 0);
    if (program) {
      ++accepted;
      continue;
    }
    ++refused;
    ASSERT_NE(program.error().code(), ErrorCode::kInternal) << text << ": " << program.error().what();
  }
  EXPECT_GT(accepted, 1000);
  EXPECT_GT(refused, 5000);
}

}  // namespace
}  // namespace bop::sql
