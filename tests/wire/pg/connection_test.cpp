#include <gtest/gtest.h>

#include "wire/pg/conversation.hpp"

namespace bop::wire::pg {
namespace {

std::string sasl_initial(std::string_view first) {
  std::string body(kScramMechanism);
  body.push_back('\0');
  append_big_endian(body, static_cast<std::int32_t>(first.size()));
  return message('p', body.append(first));
}

// ------------------------------------------------------------------------------------------------- start-up

TEST(Startup, TrustOnLoopbackGreetsWithParametersAndKey) {
  Conversation c;
  const auto answers = c.answers(startup({{"user", "bop"},
                                          {"application_name", "test"},
                                          {"TimeZone", "UTC"},
                                          {"options", "-c search_path=a\\ b --lock-timeout=5"}}));
  EXPECT_EQ(types_of(answers), "RSSSSSKZ");
  EXPECT_EQ(answers[0].body, std::string(4, '\0'));
  EXPECT_EQ(answers[1].body, std::string("server_version\0"
                                         "15.8 (BOP 0.1.0)\0",
                                         32));
  EXPECT_EQ(answers.back().body, "I");
  EXPECT_EQ(c.factory.last_request.database, "bop");
  EXPECT_EQ(c.factory.last_request.application_name, "test");
  const decltype(c.factory.last_request.settings) expected{
      {"TimeZone", "UTC"}, {"search_path", "a b"}, {"lock_timeout", "5"}};
  EXPECT_EQ(c.factory.last_request.settings, expected);
}

TEST(Startup, EncryptionIsRefusedAndTheConnectionGoesOn) {
  Conversation c;
  EXPECT_EQ(c.say(request_code(kGssCode)), "N");
  EXPECT_EQ(c.say(request_code(kSslCode)), "N");
  EXPECT_EQ(c.types(startup({{"user", "bop"}})), "RSSSSSKZ");
}

TEST(Startup, BytesBehindAnEncryptionRequestAreRefused) {
  for (const std::uint32_t code : {kSslCode, kGssCode}) {
    Conversation c;
    const auto answers = c.answers(request_code(code) + startup({{"user", "bop"}}));
    ASSERT_EQ(types_of(answers), "E");
    EXPECT_EQ(answers[0].field('C'), "08P01");
    EXPECT_TRUE(c.connection->is_closing());
    EXPECT_EQ(c.factory.alive, 0);
  }
}

TEST(Startup, AskingTwiceForEncryptionIsRefused) {
  Conversation c;
  c.say(request_code(kSslCode));
  EXPECT_EQ(c.types(request_code(kSslCode)), "E");
}

TEST(Startup, TlsBeginsWhereTheRequestEnds) {
  Conversation c(false);
  c.services.tls = Services::Tls::kOn;
  EXPECT_EQ(c.say(request_code(kSslCode)), "S");
  EXPECT_TRUE(c.connection->wants_tls());
  EXPECT_FALSE(c.connection->wants_input());
  c.connection->tls_started({.version = "TLSv1.3", .cipher = "x", .bits = 256}, "hash");
  EXPECT_FALSE(c.connection->wants_tls());
  const auto answers = c.answers(startup({{"user", "bop"}}));
  ASSERT_EQ(types_of(answers), "R");
  EXPECT_EQ(answers[0].body.substr(4), std::string("SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0", 34));
}

TEST(Startup, TlsIsAskedForOnce) {
  for (const std::uint32_t code : {kSslCode, kGssCode}) {
    Conversation c;
    c.services.tls = Services::Tls::kOn;
    EXPECT_EQ(c.say(request_code(kGssCode)), "N");
    c.say(request_code(kSslCode));
    c.connection->tls_started({}, std::nullopt);
    EXPECT_EQ(c.types(request_code(code)), "E");
  }
}

TEST(Startup, WithoutTlsNobodyGetsInWhereItIsRequired) {
  Conversation c;
  c.services.tls = Services::Tls::kRequired;
  const auto answers = c.answers(startup({{"user", "bop"}}));
  ASSERT_EQ(types_of(answers), "E");
  EXPECT_EQ(answers[0].field('C'), "28000");
  EXPECT_EQ(c.factory.alive, 0);
}

TEST(Startup, WrongVersionsAreRefused) {
  for (const std::uint32_t version : {2u << 16, 4u << 16, 0u, 1u << 16 | 7}) {
    Conversation c;
    const auto answers = c.answers(startup({{"user", "bop"}}, version));
    ASSERT_EQ(types_of(answers), "E");
    EXPECT_EQ(answers[0].field('C'), "0A000");
    EXPECT_EQ(answers[0].field('S'), "FATAL");
    EXPECT_TRUE(c.connection->is_closing());
  }
}

TEST(Startup, NewerMinorAndUnknownOptionsAreNegotiated) {
  Conversation c;
  const auto answers = c.answers(startup({{"user", "bop"}, {"_pq_.compression", "1"}}, (3u << 16) | 2));
  ASSERT_EQ(types_of(answers), "vRSSSSSKZ");
  EXPECT_EQ(answers[0].body, std::string("\0\3\0\0\0\0\0\1_pq_.compression\0", 25));
}

TEST(Startup, MalformedPacketsEndTheConnection) {
  std::string no_user = startup({{"database", "bop"}});
  std::string unterminated = startup({{"user", "bop"}});
  unterminated.pop_back();
  store_length(unterminated, 0, unterminated.size());
  std::string half = startup({});
  half.insert(8, std::string("user\0", 5));
  store_length(half, 0, half.size());
  std::string long_one(4, '\0');
  store_length(long_one, 0, kMostStartupBytes + 1);
  for (const std::string& bytes : {no_user, unterminated, half, long_one, std::string("\0\0\0\4", 4)}) {
    Conversation c;
    EXPECT_EQ(c.types(bytes), "E");
    EXPECT_TRUE(c.connection->is_closing());
  }
}

TEST(Startup, ConnectErrorIsFatal) {
  Conversation c;
  const auto answers = c.answers(startup({{"user", "bop"}, {"database", "nowhere"}}));
  ASSERT_EQ(types_of(answers), "RE");
  EXPECT_EQ(answers[1].field('C'), "3D000");
  EXPECT_EQ(answers[1].field('S'), "FATAL");
  EXPECT_TRUE(c.connection->is_closing());
}

TEST(Startup, ReplicationIsNotImplemented) {
  Conversation c;
  EXPECT_EQ(c.answers(startup({{"user", "bop"}, {"replication", "database"}}))[0].field('C'), "0A000");
}

// -------------------------------------------------------------------------------------------- notifications

TEST(Notifications, ComeBetweenAnswersAndBeforeReadyForQuery) {
  Conversation c;
  c.log_in();
  c.factory.last->hear(2);
  c.connection->advance();
  const auto answers = split(c.take());
  ASSERT_EQ(types_of(answers), "AA");
  EXPECT_EQ(answers[0].body, std::string("\0\0\x12\x67"
                                         "channel\0payload\0",
                                         20));
  c.factory.last->hear(1);
  EXPECT_EQ(c.types(query("X")), "CAZ");
}

TEST(Notifications, WaitForTheEndOfATransactionOrACopy) {
  Conversation c;
  c.log_in();
  c.say(query("BEGIN"));
  c.factory.last->hear(1);
  c.connection->advance();
  EXPECT_EQ(c.take(), "");
  EXPECT_EQ(c.types(query("COMMIT")), "CAZ");
  EXPECT_EQ(c.types(query("COPY IN")), "G");
  c.factory.last->hear(1);
  c.connection->advance();
  EXPECT_EQ(c.take(), "");
  EXPECT_EQ(c.types(message('c')), "CAZ");
}

TEST(Notifications, StopWhenTheClientDoesNotRead) {
  Conversation c;
  c.log_in();
  c.factory.last->hear(100'000);
  c.connection->advance();
  EXPECT_LE(c.connection->unsent(), kOutputFullBytes + 1000);
  std::size_t heard = 0;
  for (std::string part = c.take_once(); !part.empty(); part = c.take_once()) {
    heard += split(part).size();
    c.connection->advance();
  }
  EXPECT_EQ(heard, 100'000u);
}

// ---------------------------------------------------------------------------------------------------- SCRAM

std::string log_in_with(Conversation& c, std::string user, std::string password) {
  std::string seen = c.types(startup({{"user", user}}));
  ScramClient client(std::move(password), "clientnonce");
  auto answers = c.answers(sasl_initial(client.first()));
  seen += types_of(answers);
  if (answers[0].type != 'R') return seen;
  const auto proof = client.final(std::string_view(answers[0].body).substr(4));
  if (!proof) return seen + "!";
  answers = c.answers(message('p', *proof));
  seen += types_of(answers);
  if (answers[0].type == 'R' && !client.verify(std::string_view(answers[0].body).substr(4))) seen += "?";
  if (answers[0].type == 'E') seen += answers[0].field('C');
  return seen;
}

TEST(Scram, RightPasswordOpensTheSession) {
  Conversation c(false);
  EXPECT_EQ(log_in_with(c, "bop", "secret"), "RRRRSSSSSKZ");
  EXPECT_TRUE(c.connection->is_authenticated());
}

TEST(Scram, WrongPasswordAndUnknownUserLookAlike) {
  Conversation wrong(false);
  EXPECT_EQ(log_in_with(wrong, "bop", "Secret"), "RRE28P01");
  EXPECT_TRUE(wrong.connection->is_closing());
  Conversation unknown(false);
  EXPECT_EQ(log_in_with(unknown, "ghost", "secret"), "RRE28P01");
  EXPECT_EQ(unknown.factory.alive, 0);
}

TEST(Scram, TrustNeedsALoopbackAddress) {
  Conversation c;
  c.connection = std::make_unique<Connection>(c.services, c.executor, "10.0.0.9", false, [] {});
  EXPECT_EQ(c.types(startup({{"user", "bop"}})), "R");
  EXPECT_FALSE(c.connection->is_authenticated());
}

TEST(Scram, OtherMessagesBeforeTheEndAreRefused) {
  for (const std::string& bytes :
       {query("ROWS 1"), message('S'), message('p', std::string("PLAIN\0\0\0\0\0", 10)), message('p'),
        message('p', std::string(kMostAuthenticationBytes, 'x'))}) {
    Conversation c(false);
    c.say(startup({{"user", "bop"}}));
    EXPECT_EQ(c.types(bytes), "E");
    EXPECT_TRUE(c.connection->is_closing());
    EXPECT_EQ(c.factory.alive, 0);
  }
}

// --------------------------------------------------------------------------------------------------- cancel

TEST(Cancel, NeedsTheRightKey) {
  Conversation c;
  c.log_in();
  EXPECT_EQ(c.types(query("WAIT")), "");
  const auto cancel = [&](std::int32_t pid, std::int32_t secret) {
    std::string bytes;
    append_big_endian<std::uint32_t>(bytes, 16);
    append_big_endian(bytes, kCancelCode);
    append_big_endian(bytes, pid);
    append_big_endian(bytes, secret);
    Connection other(c.services, c.executor, "127.0.0.1", true, [] {});
    other.feed(bytes);
    EXPECT_TRUE(other.sendable().empty());
    EXPECT_TRUE(other.is_closing());
  };
  const std::int32_t pid = c.factory.last->backend_pid();
  // CountingRandom: the secret is the low half of the first eight bytes.
  const std::int32_t secret = 0x04030201;
  cancel(pid, secret ^ 1);
  cancel(pid + 1, secret);
  EXPECT_EQ(c.wakes, 0);
  cancel(pid, secret);
  EXPECT_EQ(c.wakes, 1);
  c.connection->advance();
  const auto answers = split(c.take());
  ASSERT_EQ(types_of(answers), "EZ");
  EXPECT_EQ(answers[0].field('C'), "57014");
}

// ------------------------------------------------------------------------------------------- simple protocol

TEST(SimpleQuery, AnswersEveryStatement) {
  Conversation c;
  c.log_in();
  const auto answers = c.answers(query("BEGIN; ROWS 2; NOTICE; SET"));
  ASSERT_EQ(types_of(answers), "CTDDCNCSCZ");
  EXPECT_EQ(answers[2].body, std::string("\0\2\0\0\0\1", 6) + "0" + std::string("\0\0\0\5", 4) + "row 0");
  EXPECT_EQ(answers[4].body, std::string("SELECT 2\0", 9));
  EXPECT_EQ(answers[5].field('S'), "WARNING");
  EXPECT_EQ(answers.back().body, "T");
}

TEST(SimpleQuery, RowDescriptionHasEveryField) {
  Conversation c;
  c.log_in();
  const auto answers = c.answers(query("ROWS 0"));
  ASSERT_EQ(types_of(answers), "TCZ");
  EXPECT_EQ(answers[0].body, std::string("\0\2"
                                         "n\0"
                                         "\0\0\x12\x67"
                                         "\0\1"
                                         "\0\0\0\x17"
                                         "\0\4"
                                         "\xff\xff\xff\xff"
                                         "\0\0"
                                         "name\0"
                                         "\0\0\0\0"
                                         "\0\0"
                                         "\0\0\0\x19"
                                         "\xff\xff"
                                         "\xff\xff\xff\xff"
                                         "\0\0",
                                         45));
}

TEST(SimpleQuery, ErrorCarriesItsFields) {
  Conversation c;
  c.log_in();
  const auto answers = c.answers(query("BEGIN; FAIL; ROWS 1"));
  ASSERT_EQ(types_of(answers), "CEZ");
  std::string fields;
  for (const char code : std::string("SVCMDHPWstcdn")) fields += answers[1].field(code) + "|";
  EXPECT_EQ(fields,
            "ERROR|ERROR|23505|duplicate key|Key (id)=(1) already exists.|a hint|7|a context|"
            "public|t|id|int4|t_pkey|");
  EXPECT_EQ(answers[2].body, "E");
}

TEST(SimpleQuery, EmptyStatements) {
  Conversation c;
  c.log_in();
  EXPECT_EQ(c.types(query("")), "IZ");
  EXPECT_EQ(c.types(query(" ; ; ")), "IZ");
}

TEST(SimpleQuery, BytesBehindTheTextAreAnError) {
  Conversation c;
  c.log_in();
  const auto answers = c.answers(message('Q', std::string("ROWS 1\0x", 8)) + message('Q', "no end"));
  ASSERT_EQ(types_of(answers), "EZEZ");
  EXPECT_EQ(answers[0].field('C'), "08P01");
  EXPECT_EQ(c.types(query("ROWS 1")), "TDCZ");
}

// ----------------------------------------------------------------------------------------- extended protocol

TEST(ExtendedQuery, WholeCycle) {
  Conversation c;
  c.log_in();
  const auto answers =
      c.answers(parse("s", "ROWS 1", {23, 25}) + named('D', 'S', "s") + bind("p", "s", {}, {1}) +
                named('D', 'P', "p") + execute("p") + named('C', 'P', "p") + named('C', 'S', "s") + sync());
  ASSERT_EQ(types_of(answers), "1tT2TDC33Z");
  EXPECT_EQ(answers[1].body, std::string("\0\2\0\0\0\x17\0\0\0\x19", 10));
  EXPECT_EQ(answers[2].body.substr(answers[2].body.size() - 2), std::string("\0\0", 2));
  EXPECT_EQ(answers[4].body.substr(answers[4].body.size() - 2), std::string("\0\1", 2));
  EXPECT_EQ(answers[5].body, std::string("\0\2\0\0\0\4\0\0\0\0\0\0\0\5row 0", 19));
}

TEST(ExtendedQuery, FormatsByColumn) {
  Conversation c;
  c.log_in();
  const auto answers = c.answers(parse("", "ROWS 1") + bind("", "", {}, {0, 1}) + execute("") + sync());
  ASSERT_EQ(types_of(answers), "12DCZ");
  EXPECT_EQ(answers[2].body, std::string("\0\2\0\0\0\1"
                                         "0",
                                         7) +
                                 std::string("\0\0\0\5row 0", 9));
}

TEST(ExtendedQuery, NoDataForStatementsWithoutRows) {
  Conversation c;
  c.log_in();
  EXPECT_EQ(c.types(parse("", "BEGIN") + named('D', 'S', "") + bind("", "") + named('D', 'P', "") + sync()),
            "1tn2nZ");
}

TEST(ExtendedQuery, ErrorSkipsToSync) {
  Conversation c;
  c.log_in();
  const auto answers = c.answers(parse("", "BAD") + bind("", "") + execute("") + query("ROWS 1") +
                                 message('H') + message('F', "x") + sync() + query("ROWS 1"));
  ASSERT_EQ(types_of(answers), "EZTDCZ");
  EXPECT_EQ(c.factory.last->rollbacks, 1);
  // Of the statement itself as well.
  EXPECT_EQ(c.types(parse("", "FAIL") + bind("", "") + execute("") + execute("") + sync() + sync()), "12EZZ");
  EXPECT_EQ(c.factory.last->rollbacks, 2);
}

TEST(ExtendedQuery, PortalIsSuspendedAndGoesOn) {
  Conversation c;
  c.log_in();
  EXPECT_EQ(c.types(parse("", "ROWS 5") + bind("p", "") + execute("p", 2) + execute("p", 2) +
                    execute("p", 2) + sync()),
            "12DDsDDsDCZ");
}

TEST(ExtendedQuery, MostParametersOfAMessage) {
  Conversation c;
  c.log_in();
  std::vector<std::optional<std::string>> values(65'535, "x");
  values[7] = std::nullopt;
  const auto answers =
      c.answers(parse("", "PARAMETERS 65535") + bind("", "", values, {}, {0}) + execute("") + sync());
  ASSERT_EQ(types_of(answers), "12DCZ");
  EXPECT_EQ(answers[2].body.size(), 2 + 65'535 * 5 - 1);
  EXPECT_EQ(answers[2].body.substr(0, 2), "\xff\xff");
}

TEST(ExtendedQuery, MalformedMessagesAreErrorsAndTheConnectionLives) {
  const std::vector<std::string> cases{
      message('P', "no end"),
      message('P', std::string("\0ROWS 1\0\0\2\0\0\0\x17", 14)),          // promises two types
      message('B', std::string("\0\0\0\0\0\1\0\0\0\x7f", 10)),            // a value longer than the message
      message('B', std::string("\0\0\0\0\0\1\xff\xff\xff\xfe\0\0", 12)),  // length -2
      message('B', std::string("\0\0\0\2\0\0\0\0\0\1\0\0\0\0\0\0", 16)),  // two formats, one parameter
      message('B', std::string("\0\0\0\1\0\2\0\0\0\0", 10)),              // format 2
      message('D', std::string("X\0", 2)),
      message('D'),
      message('E', std::string("\0\0\0", 3)),
      message('C', std::string("Q\0", 2)),
      execute("none"),
      named('D', 'S', "none"),
      named('D', 'P', "none"),
      bind("", "none"),
  };
  for (const std::string& bytes : cases) {
    Conversation c;
    c.log_in();
    EXPECT_EQ(c.types(parse("", "ROWS 1") + bytes + execute("") + sync() + query("ROWS 1")), "1EZTDCZ");
  }
}

TEST(Protocol, FunctionCallIsRefused) {
  Conversation c;
  c.log_in();
  const auto answers = c.answers(message('F', "whatever") + query("ROWS 0"));
  ASSERT_EQ(types_of(answers), "EZTCZ");
  EXPECT_EQ(answers[0].field('C'), "0A000");
}

TEST(Protocol, UnknownMessagesAndBadLengthsEndTheConnection) {
  for (const std::string& bytes : {message('?'), message('\0'), std::string("Q\0\0\0\3", 5),
                                   std::string("Q\xff\xff\xff\xff", 5), std::string("Q\0\x20\0\0", 5)}) {
    Conversation c;
    c.log_in();
    const auto answers = c.answers(bytes + query("ROWS 1"));
    ASSERT_EQ(types_of(answers), "E");
    EXPECT_EQ(answers[0].field('S'), "FATAL");
    EXPECT_TRUE(c.connection->is_closing());
    EXPECT_EQ(c.factory.alive, 0);
  }
}

TEST(Protocol, TerminateEndsTheSession) {
  Conversation c;
  c.log_in();
  EXPECT_EQ(c.types(message('X') + query("ROWS 1")), "");
  EXPECT_TRUE(c.connection->is_closing());
  EXPECT_EQ(c.factory.alive, 0);
}

// ----------------------------------------------------------------------------------------------------- COPY

TEST(Copy, InWithSimpleProtocol) {
  Conversation c;
  c.log_in();
  auto answers = c.answers(query("COPY IN; ROWS 1"));
  ASSERT_EQ(types_of(answers), "G");
  EXPECT_EQ(answers[0].body, std::string("\0\0\2\0\0\0\0", 7));
  answers =
      c.answers(message('d', "1\ta\n") + message('H') + message('S') + message('d', "2\tb\n") + message('c'));
  ASSERT_EQ(types_of(answers), "CTDCZ");
  EXPECT_EQ(answers[0].body, std::string("COPY 8\0", 7));
}

TEST(Copy, FailFromTheClient) {
  Conversation c;
  c.log_in();
  const auto answers =
      c.answers(query("COPY IN; ROWS 1") + message('d', "1\n") + text_message('f', "no more"));
  ASSERT_EQ(types_of(answers), "GEZ");
  EXPECT_EQ(answers[1].field('M'), "COPY from stdin failed: no more");
}

TEST(Copy, ErrorInTheMiddleDiscardsTheRest) {
  Conversation c;
  c.log_in();
  EXPECT_EQ(c.types(query("COPY IN") + message('d', "bad\n") + message('d', "2\n") + message('c') +
                    query("ROWS 1")),
            "GEZTDCZ");
}

TEST(Copy, InWithExtendedProtocol) {
  Conversation c;
  c.log_in();
  EXPECT_EQ(c.types(parse("", "COPY IN") + bind("", "") + execute("") + sync() + message('d', "1\n") +
                    message('c') + sync()),
            "12GCZ");
  EXPECT_EQ(c.types(bind("", "") + execute("") + message('d', "bad\n") + message('c') + execute("") + sync()),
            "2GEZ");
  EXPECT_EQ(c.factory.last->rollbacks, 1);
}

TEST(Copy, Out) {
  Conversation c;
  c.log_in();
  const auto answers = c.answers(query("COPY OUT 2"));
  ASSERT_EQ(types_of(answers), "HddcCZ");
  EXPECT_EQ(answers[1].body, "line\n");
}

TEST(Copy, OtherMessagesEndTheConnection) {
  Conversation c;
  c.log_in();
  EXPECT_EQ(c.types(query("COPY IN") + query("ROWS 1")), "GEE");  // of the COPY, then FATAL
  EXPECT_TRUE(c.connection->is_closing());
}

// ------------------------------------------------------------------------------------- waiting and the gate

TEST(Waiting, NothingIsReadWhileAnOperationWaits) {
  Conversation c;
  c.log_in();
  EXPECT_EQ(c.types(query("WAIT; ROWS 1") + query("ROWS 2")), "");
  EXPECT_FALSE(c.connection->wants_input());
  c.connection->advance();  // a stray call changes nothing
  EXPECT_EQ(c.factory.last->resumes, 0);
  c.factory.last->let_go();
  EXPECT_EQ(c.wakes, 1);
  c.connection->advance();
  EXPECT_EQ(types_of(split(c.take())), "CTDCZTDDCZ");
  EXPECT_TRUE(c.connection->wants_input());
}

TEST(Waiting, FullOutputStopsTheSessionAndRoomStartsItAgain) {
  Conversation c;
  c.log_in();
  c.connection->feed(query("ROWS 100000") + query("ROWS 1"));
  std::string all = c.take_once();
  EXPECT_GT(all.size(), kOutputFullBytes);
  EXPECT_LT(all.size(), kOutputFullBytes + 1000);
  for (std::string more = "x"; !more.empty(); all += more) {
    c.connection->advance();
    EXPECT_LT(c.connection->unsent(), kOutputFullBytes + 1000);
    more = c.take_once();
  }
  const auto answers = split(all);
  EXPECT_EQ(answers.size(), 100'000u + 3 + 4);
  EXPECT_EQ(types_of(answers).substr(100'001), "CZTDCZ");
  EXPECT_LE(c.connection->memory_bytes(), 2 * kKeptBufferBytes);
}

TEST(Gate, HoldsWhatFollowsUntilTheCommit) {
  Conversation c;
  c.log_in();
  c.factory.released_csn = 10;
  EXPECT_EQ(c.types(query("GATE 10")), "CZ");
  EXPECT_EQ(c.types(query("ROWS 1; GATE 12; ROWS 1") + query("GATE 11") + query("GATE 15; ROWS 1")), "")
      << "what little stands before a gate leaves with what follows";
  EXPECT_EQ(c.connection->held_by(), Csn(12));
  c.factory.released_csn = 11;
  EXPECT_EQ(c.take(), "");
  c.factory.released_csn = 14;
  EXPECT_EQ(types_of(split(c.take())), "TDCCTDCZCZ");
  EXPECT_EQ(c.connection->held_by(), Csn(15));
  c.factory.released_csn = 15;
  EXPECT_EQ(types_of(split(c.take())), "CTDCZ");
  EXPECT_EQ(c.connection->held_by(), std::nullopt);
}

TEST(Gate, WhatIsMuchOrEndsAnAnswerOrIsAskedForIsNotKept) {
  Conversation c;
  c.log_in();
  EXPECT_EQ(c.types(query("ROWS 1") + query("ROWS 1; GATE 5")), "TDCZ") << "the second one begins behind Z";
  c.factory.released_csn = 5;
  EXPECT_EQ(types_of(split(c.take())), "TDCCZ");
  EXPECT_EQ(c.types(query("ROWS 500; GATE 6")), "T" + std::string(500, 'D') + "C");
  c.factory.released_csn = 6;
  EXPECT_EQ(types_of(split(c.take())), "CZ");
  const auto statement = [](std::string_view text) { return parse("", text) + bind("", "") + execute(""); };
  EXPECT_EQ(c.types(statement("ROWS 1") + statement("GATE 7") + statement("ROWS 1")), "");
  EXPECT_EQ(c.types(message('H')), "12DC12");
  EXPECT_EQ(c.types(message('S')), "");
  c.factory.released_csn = 7;
  EXPECT_EQ(types_of(split(c.take())), "C12DCZ");
}

TEST(Gate, ErrorsAreHeldAsWell) {
  Conversation c;
  c.log_in();
  EXPECT_EQ(c.types(query("GATE 1; FAIL")), "");
  EXPECT_EQ(c.types(message('?')), "");
  c.factory.released_csn = 1;
  EXPECT_EQ(types_of(split(c.take())), "CEZE");
}

TEST(Gate, FailedLogDropsWhatIsHeldAndSaysWhy) {
  Conversation c;
  c.log_in();
  EXPECT_EQ(c.types(query("ROWS 1; GATE 5; ROWS 3")), "");
  c.connection->gate_failed(error(ErrorCode::kPoisoned, "the log failed"));
  const auto answers = split(c.take());
  ASSERT_EQ(types_of(answers), "TDCE");
  EXPECT_EQ(answers[3].field('S'), "FATAL");
  EXPECT_EQ(answers[3].field('C'), "58030");
  EXPECT_TRUE(c.connection->is_closing());
  EXPECT_EQ(c.connection->unsent(), 0u);
}

// -------------------------------------------------------------------------------------------------- the end

TEST(Stop, IdleConnectionHearsItAtOnceARunningOneAtItsEnd) {
  const auto reason = [] { return error(ErrorCode::kAdminShutdown, "terminating connection"); };
  Conversation idle;
  idle.log_in();
  idle.connection->stop(reason());
  EXPECT_EQ(split(idle.take())[0].field('C'), "57P01");
  EXPECT_EQ(idle.factory.alive, 0);

  Conversation busy;
  busy.log_in();
  busy.say(query("WAIT"));
  busy.connection->stop(reason());
  EXPECT_EQ(busy.take(), "");
  busy.factory.last->let_go();
  busy.connection->advance();
  EXPECT_EQ(types_of(split(busy.take())), "CZE");
  EXPECT_TRUE(busy.connection->is_closing());
}

TEST(Stop, ClientThatIsGoneFreesItsSession) {
  Conversation c;
  c.log_in();
  c.say(query("WAIT"));
  c.connection->abort(error(ErrorCode::kConnectionFailure, "the client is gone"));
  EXPECT_EQ(c.factory.alive, 0);
  c.connection->advance();
  EXPECT_TRUE(c.connection->is_closing());
}

TEST(Memory, IdleConnectionIsSmall) {
  Conversation c;
  c.log_in();
  c.say(query("ROWS 1000"));
  c.say(query(std::string(100'000, ' ')));
  for (const char byte : query(std::string(100'000, ' '))) c.connection->feed(std::string_view(&byte, 1));
  c.take();
  EXPECT_LE(c.connection->memory_bytes() + sizeof(Connection), 12'000u);
}

}  // namespace
}  // namespace bop::wire::pg
