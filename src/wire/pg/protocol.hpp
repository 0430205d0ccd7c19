// PostgreSQL's frontend/backend protocol 3.0, the numbers.
//
// A message is one type byte, a length of 4 bytes, big-endian, that counts itself but not the type, and the
// body. The first messages of a connection (startup, SSLRequest, GSSENCRequest, CancelRequest) have no type
// byte:
//
//   startup         length, 0x00030000 | minor, { name "\0" value "\0" }*, "\0"
//   SSLRequest      length 8, 80877103; answered by one byte, 'N' or 'S': then a TLS handshake follows
//   GSSENCRequest   length 8, 80877104; the same, here 'N'
//   CancelRequest   length 16, 80877102, process id, secret key; no answer, the connection closes
//
// Strings end in a zero byte; integers are big-endian; a value is a length of 4 bytes (-1: NULL) and its
// bytes. After an error in the extended protocol everything up to the next Sync is discarded.
#pragma once

#include <cstddef>
#include <cstdint>

namespace bop::wire::pg {

inline constexpr std::uint32_t kProtocolMajor = 3;
inline constexpr std::uint32_t kCancelCode = 80877102;
inline constexpr std::uint32_t kSslCode = 80877103;
inline constexpr std::uint32_t kGssCode = 80877104;

// Limits of a peer that has not shown who it is.
inline constexpr std::size_t kMostStartupBytes = 10'000;
inline constexpr std::size_t kMostAuthenticationBytes = 10'000;
// Above this much unsent output the session stops producing, and goes on below the half.
inline constexpr std::size_t kOutputFullBytes = 256 * 1024;
// Of an answer whose rest is behind the output gate.
inline constexpr std::size_t kMostKeptTogether = 4096;
// A buffer that is empty gives its memory back when it is larger.
inline constexpr std::size_t kKeptBufferBytes = 4096;

// From the client.
enum class Frontend : char {
  kBind = 'B',
  kClose = 'C',
  kCopyData = 'd',
  kCopyDone = 'c',
  kCopyFail = 'f',
  kDescribe = 'D',
  kExecute = 'E',
  kFlush = 'H',
  kFunctionCall = 'F',
  kParse = 'P',
  kPassword = 'p',  // also SASL messages
  kQuery = 'Q',
  kSync = 'S',
  kTerminate = 'X',
};

// From the server.
enum class Backend : char {
  kAuthentication = 'R',
  kBackendKeyData = 'K',
  kBindComplete = '2',
  kCloseComplete = '3',
  kCommandComplete = 'C',
  kCopyData = 'd',
  kCopyDone = 'c',
  kCopyInResponse = 'G',
  kCopyOutResponse = 'H',
  kDataRow = 'D',
  kEmptyQueryResponse = 'I',
  kErrorResponse = 'E',
  kNegotiateProtocolVersion = 'v',
  kNoData = 'n',
  kNoticeResponse = 'N',
  kNotificationResponse = 'A',
  kParameterDescription = 't',
  kParameterStatus = 'S',
  kParseComplete = '1',
  kPortalSuspended = 's',
  kReadyForQuery = 'Z',
  kRowDescription = 'T',
};

enum class Authentication : std::int32_t { kOk = 0, kSasl = 10, kSaslContinue = 11, kSaslFinal = 12 };

}  // namespace bop::wire::pg
