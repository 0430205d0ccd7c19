#include "base/scram.hpp"

#include <gtest/gtest.h>

#include "base/time.hpp"

namespace bop {
namespace {

std::string salt_of_the_rfc() { return base64_decode("W22ZaJ0SNY7soEsUEjb6gQ==").value(); }

TEST(Scram, ServerAnswersAsTheExampleOfRfc7677) {
  ScramServer server(make_scram_verifier("pencil", salt_of_the_rfc(), 4096), false,
                     "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0");
  const auto first = server.first("n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
  ASSERT_TRUE(first);
  EXPECT_EQ(*first, "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096");
  const auto final = server.final(
      "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
      "p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=");
  ASSERT_TRUE(final) << final.error().what();
  EXPECT_EQ(*final, "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
}

TEST(Scram, ClientAndServerAgree) {
  for (const std::string password : {"secret", "with space", "p\xC3\xA4ss", "a,b=c", "x\x01y"}) {
    const ScramVerifier verifier = make_scram_verifier(password, system_random());
    ScramServer server(ScramVerifier::parse(verifier.text()).value(), false, scram_nonce(system_random()));
    ScramClient client(password, scram_nonce(system_random()));
    const auto first = server.first(client.first());
    ASSERT_TRUE(first);
    const auto proof = client.final(*first);
    ASSERT_TRUE(proof);
    const auto signature = server.final(*proof);
    ASSERT_TRUE(signature) << password;
    EXPECT_TRUE(client.verify(*signature));
    EXPECT_FALSE(client.verify("v=AAAA"));
  }
}

TEST(Scram, WrongPasswordIsRefused) {
  ScramServer server(make_scram_verifier("right", system_random()), false, "server");
  ScramClient client("wrong", "client");
  const auto proof = client.final(server.first(client.first()).value());
  const auto end = server.final(proof.value());
  ASSERT_FALSE(end);
  EXPECT_EQ(end.error().code(), ErrorCode::kInvalidPassword);
}

TEST(Scram, ChannelBindingFlagIsBoundToTheProof) {
  // "y" in client-first and the header of "n" in client-final: somebody between changed one of them.
  ScramServer server(make_scram_verifier("pencil", "salt", 4096), false, "s");
  ASSERT_TRUE(server.first("y,,n=,r=c"));
  const auto end = server.final("c=biws,r=cs,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=");
  ASSERT_FALSE(end);
  EXPECT_EQ(end.error().code(), ErrorCode::kProtocolViolation);
}

// Of both sides over a channel with this certificate's hash.
Result<std::string> bound_exchange(std::string_view of_server, std::string_view of_client) {
  ScramServer server(make_scram_verifier("pencil", "salt", 4096), false, "s", std::string(of_server));
  ScramClient client("pencil", "c", std::string(of_client));
  EXPECT_EQ(client.mechanism(), kScramPlusMechanism);
  return server.final(client.final(server.first(client.first(), client.mechanism()).value()).value());
}

TEST(Scram, BoundToTheChannel) {
  const std::string end_point(32, '\x7f');
  EXPECT_TRUE(bound_exchange(end_point, end_point));
  const auto other = bound_exchange(end_point, std::string(32, 'x'));
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().code(), ErrorCode::kInvalidAuthorization);
}

TEST(Scram, LostOfferOfChannelBindingIsNoticed) {
  const ScramVerifier verifier = make_scram_verifier("pencil", "salt", 4096);
  const auto lost = ScramServer(verifier, false, "s", "hash").first("y,,n=,r=c");
  ASSERT_FALSE(lost);
  EXPECT_EQ(lost.error().code(), ErrorCode::kInvalidAuthorization);
  EXPECT_TRUE(ScramServer(verifier, false, "s", "hash").first("n,,n=,r=c"));
  for (const std::string_view text :
       {"n,,n=,r=c", "y,,n=,r=c", "p=tls-unique,,n=,r=c", "p=,,n=,r=c", "p=tls-server-end-point",
        "p=tls-server-end-point,a=x,n=,r=c", "p", ""}) {
    EXPECT_FALSE(ScramServer(verifier, false, "s", "hash").first(text, kScramPlusMechanism)) << text;
  }
}

TEST(Scram, MockNeverAcceptsAndShowsTheSameSaltTwice) {
  const ScramVerifier mock = mock_scram_verifier("ghost", "node secret");
  EXPECT_EQ(mock.salt, mock_scram_verifier("ghost", "node secret").salt);
  EXPECT_NE(mock.salt, mock_scram_verifier("ghost", "another node").salt);
  EXPECT_NE(mock.salt, mock_scram_verifier("other", "node secret").salt);
  EXPECT_EQ(mock.salt.size(), 16u);
  // Even a proof that fits the verifier is refused.
  ScramServer server(make_scram_verifier("pencil", "salt", 4096), true, "s");
  ScramClient client("pencil", "c");
  EXPECT_FALSE(server.final(client.final(server.first(client.first()).value()).value()));
}

TEST(Scram, MalformedMessagesAreErrors) {
  const ScramVerifier verifier = make_scram_verifier("pencil", "salt", 4096);
  for (const std::string_view text :
       {"", "n", "n,", "n,,", "n,,n=", "n,,n=u,r=", "n,,r=x,n=u", "p=tls-server-end-point,,n=,r=x",
        "n,a=admin,n=,r=x", "n,,m=x,n=,r=x", "z,,n=,r=x", "n,,n=u,r=a\x01"}) {
    EXPECT_FALSE(ScramServer(verifier, false, "s").first(text)) << text;
  }
  for (const std::string_view text : {"", "c=biws", "c=biws,r=cs", "c=biws,r=cs,p=", "c=biws,r=cs,p=!!!!",
                                      "c=biws,r=x,p=AAAA", "c=biws,r=cs,p=AAAA,x=y"}) {
    ScramServer server(verifier, false, "s");
    ASSERT_TRUE(server.first("n,,n=,r=c"));
    EXPECT_FALSE(server.final(text)) << text;
  }
  ScramClient client("pencil", "c");
  for (const std::string_view text :
       {"", "r=c,s=AAAA,i=1", "r=cs", "r=cs,s=AAAA", "r=cs,s=AAAA,i=0", "r=cs,s=AAAA,i=99999999999"}) {
    EXPECT_FALSE(client.final(text)) << text;
  }
}

TEST(Scram, VerifierTextIsPostgresql) {
  const ScramVerifier verifier = make_scram_verifier("pencil", salt_of_the_rfc(), 4096);
  EXPECT_EQ(verifier.text(),
            "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:"
            "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=");
  EXPECT_TRUE(scram_password_matches(verifier, "pencil"));
  EXPECT_FALSE(scram_password_matches(verifier, "pencils"));
  for (const std::string_view text : {"", "secret", "SCRAM-SHA-256", "SCRAM-SHA-256$4096:x$y:z", "md5abcdef",
                                      "SCRAM-SHA-256$0:AAAA$AAAA:AAAA"}) {
    EXPECT_FALSE(ScramVerifier::looks_like(text)) << text;
  }
}

TEST(Scram, SaslprepMapsSpacesAndNothings) {
  EXPECT_EQ(saslprep("I\xC2\xADX"), "IX");  // RFC 4013, 3: soft hyphen
  EXPECT_EQ(saslprep("user"), "user");
  EXPECT_EQ(saslprep("USER"), "USER");
  EXPECT_EQ(saslprep("a\xC2\xA0"), "a ");       // no-break space
  EXPECT_EQ(saslprep("a\x07"), "a\x07");        // prohibited: as it is
  EXPECT_EQ(saslprep("\xff\xfe"), "\xff\xfe");  // not UTF-8: as it is
}

TEST(Base64, OnlyTheCanonicalFormIsRead) {
  for (const std::string bytes : {"", "f", "fo", "foo", "foob", "fooba", "foobar"}) {
    EXPECT_EQ(base64_decode(base64_encode(bytes)).value(), bytes);
  }
  for (const std::string_view text : {"A", "AA", "AAA", "AA=A", "====", "AA A", " AAAA", "AAAA\n"}) {
    EXPECT_FALSE(base64_decode(text)) << text;
  }
}

}  // namespace
}  // namespace bop
