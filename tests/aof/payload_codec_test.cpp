// Compressed and encrypted payloads: they come back, nobody without the key reads or changes them, no nonce
// is used twice, and a log that is not encoded is what it always was.
#include <algorithm>
#include <set>

#include "aof/codec_fixture.hpp"
#include "aof/inspection.hpp"

namespace bop::aof::test {
namespace {

class Codings : public testing::TestWithParam<Coding> {};
std::string name_of_coding(const testing::TestParamInfo<Coding>& coding) {
  switch (coding.param) {
    case Coding::kOff: return "Off";
    case Coding::kZstd: return "Zstd";
    case Coding::kAes: return "Aes";
    case Coding::kBoth: return "Both";
  }
  return "";
}
INSTANTIATE_TEST_SUITE_P(All, Codings,
                         testing::Values(Coding::kOff, Coding::kZstd, Coding::kAes, Coding::kBoth),
                         name_of_coding);

TEST_P(Codings, WhatIsAppendedIsReadAlsoAfterARestart) {
  World world(1);
  const Options options = options_of(world, GetParam());
  std::vector<std::vector<std::byte>> given;
  {
    auto stream = world.open(options).value();
    for (std::uint64_t i = 0; i < 200; ++i) {
      std::vector<Entry> batch;
      for (std::uint64_t j = 0; j <= i % 3; ++j) {
        const std::size_t bytes = i * 37 % 3000;
        batch.push_back({DatabaseId(static_cast<std::uint32_t>(j)),
                         i % 2 == 0 ? payload_of(i * 8 + j, bytes) : text_of(i * 8 + j, bytes)});
        given.push_back(batch.back().payload);
      }
      ASSERT_TRUE(ok(append(*stream, batch)));
      if (i == 100) {
        ASSERT_TRUE(ok(stream->wait_durable(stream->appended())));
      }
    }
    ASSERT_TRUE(ok(stream->wait_durable(stream->appended())));
    const auto copies = read_all(*stream, Lsn(1)).value();
    ASSERT_EQ(copies.size(), given.size());
    for (std::size_t i = 0; i < given.size(); ++i) ASSERT_EQ(copies[i].payload, given[i]) << i;
    ASSERT_TRUE(ok(stream->close()));
  }
  auto stream = world.open(options).value();
  const auto copies = read_all(*stream, Lsn(1)).value();
  ASSERT_EQ(copies.size(), given.size());
  for (std::size_t i = 0; i < given.size(); ++i) ASSERT_EQ(copies[i].payload, given[i]) << i;
  std::map<int, std::size_t> encodings;
  each_stored(world.disk, kDirectory, [&](const RecordView& record) { ++encodings[record.encoding]; });
  const bool aes = GetParam() == Coding::kAes || GetParam() == Coding::kBoth;
  const bool zstd = GetParam() == Coding::kZstd || GetParam() == Coding::kBoth;
  EXPECT_EQ(encodings[0] + encodings[1] == 0, aes);
  EXPECT_EQ(encodings[1] + encodings[3] > given.size() / 3, zstd);
}

TEST(PayloadCodec, OnlyWhatSavesAnEighthIsCompressed) {
  World world(1);
  auto stream = world.open(options_of(world, Coding::kZstd)).value();
  std::vector<std::vector<std::byte>> payloads = {text_of(1, 63), text_of(1, 1000), payload_of(1, 1000), {}};
  // Noise with so many zeros behind it that an eighth is just saved, and just not.
  for (const std::size_t zeros : {100U, 250U}) {
    payloads.push_back(payload_of(2, 1000));
    payloads.back().resize(1000 + zeros);
  }
  for (const auto& payload : payloads) ASSERT_TRUE(ok(append(*stream, {Entry{DatabaseId(1), payload}})));
  ASSERT_TRUE(ok(stream->wait_durable(stream->appended())));
  const auto stored = all_stored(world.disk, kDirectory);
  ASSERT_EQ(stored.size(), payloads.size());
  const int wanted[] = {0, 1, 0, 0, 0, 1};
  for (std::size_t i = 0; i < stored.size(); ++i) {
    EXPECT_EQ(stored[i].record.encoding, wanted[i]) << i;
    if (wanted[i] != 0) {
      EXPECT_LE(stored[i].bytes.size(), payloads[i].size() * 7 / 8) << i;
    } else {
      EXPECT_EQ(stored[i].bytes, payloads[i]) << i;
    }
  }
  EXPECT_LT(stream->metrics().stored_payload_bytes, stream->metrics().given_payload_bytes);
}

TEST(PayloadCodec, NothingOfAnEncryptedPayloadIsOnTheDisk) {
  World world(1);
  auto stream = world.open(options_of(world, Coding::kAes)).value();
  const auto text = text_of(77, 400);
  ASSERT_TRUE(ok(append(*stream, {Entry{DatabaseId(1), text}})));
  ASSERT_TRUE(ok(stream->close()));
  const auto names = world.disk.list(kDirectory).value();
  for (const auto& name : names) {
    auto file = world.disk.open(std::string(kDirectory) + "/" + name, OpenMode::kRead).value();
    std::vector<std::byte> bytes(file->size().value());
    ASSERT_TRUE(ok(file->read_at(ByteOffset(0), bytes)));
    EXPECT_TRUE(std::ranges::search(bytes, std::span(text).first(12)).empty()) << name;
  }
}

TEST(PayloadCodec, ACompressedLogIsReadWithoutTheOption) {
  World world(1);
  {
    auto stream = world.open(options_of(world, Coding::kZstd)).value();
    ASSERT_TRUE(ok(append(*stream, {Entry{DatabaseId(1), text_of(5, 900)}})));
    ASSERT_TRUE(ok(stream->close()));
  }
  auto stream = world.open().value();
  EXPECT_EQ(read_all(*stream, Lsn(1)).value().at(0).payload, text_of(5, 900));
}

// A ring and one stored record of it, for what follows.
struct Sealed {
  explicit Sealed(Coding coding) {
    auto stream = world.open(options_of(world, coding)).value();
    keys = stream->keys();
    payload = text_of(9, 300);
    EXPECT_TRUE(ok(append(*stream, {Entry{.database = DatabaseId(3),
                                          .payload = payload,
                                          .kind = RecordKind::kRowPart,
                                          .producer = 5,
                                          .sequence = 6}})));
    EXPECT_TRUE(ok(stream->close()));
    stored = all_stored(world.disk, kDirectory).at(0);
    stored.record.payload = stored.bytes;
  }
  Result<std::vector<std::byte>> decode(const RecordView& record) const {
    PayloadDecoder decoder(keys);
    BOP_LET(plain, decoder.decode(record));
    return std::vector<std::byte>(plain.begin(), plain.end());
  }
  World world{1};
  std::shared_ptr<KeyRing> keys;
  std::vector<std::byte> payload;
  Stored stored;
};

TEST(PayloadCodec, APayloadIsBoundToItsRecordAndNotToItsPlace) {
  const Sealed sealed(Coding::kBoth);
  ASSERT_EQ(sealed.stored.record.encoding, 3);
  EXPECT_EQ(sealed.decode(sealed.stored.record).value(), sealed.payload);
  const auto changed = [&](const std::function<void(RecordView&)>& change) {
    RecordView record = sealed.stored.record;
    change(record);
    return sealed.decode(record);
  };
  const std::function<void(RecordView&)> bound[] = {
      [](RecordView& r) { r.database = DatabaseId(4); },
      [](RecordView& r) { r.kind = RecordKind::kRowCommit; },
      [](RecordView& r) { r.flags ^= 1U; },
      [](RecordView& r) { r.producer = 0; },
      [](RecordView& r) { r.sequence = 7; },
      [](RecordView& r) { r.encoding = kPayloadEncrypted; },
  };
  for (const auto& change : bound) EXPECT_EQ(changed(change).error().code(), ErrorCode::kCorrupt);
  EXPECT_TRUE(ok(changed([](RecordView& r) {
    r.lsn = Lsn(99), r.term = Term(8), r.timeline = Timeline(4), r.timestamp_us = 1, r.batch_remaining = 2;
    r.previous = {}, r.database_previous = {};
  })));
}

TEST(PayloadCodec, EveryFlippedBitOfAnEncryptedPayloadIsNoticed) {
  for (const Coding coding : {Coding::kAes, Coding::kBoth}) {
    Sealed sealed(coding);
    auto& bytes = sealed.stored.bytes;
    for (std::size_t bit = 0; bit < bytes.size() * 8; ++bit) {
      bytes[bit / 8] ^= static_cast<std::byte>(1U << (bit % 8));
      const auto plain = sealed.decode(sealed.stored.record);
      ASSERT_FALSE(plain.has_value()) << bit;
      EXPECT_EQ(plain.error().code(), bit < 64 ? ErrorCode::kEncryptionKeyMissing : ErrorCode::kCorrupt);
      bytes[bit / 8] ^= static_cast<std::byte>(1U << (bit % 8));
    }
    sealed.stored.record.payload = std::span(bytes).first(kSealBytes - 1);
    EXPECT_EQ(sealed.decode(sealed.stored.record).error().code(), ErrorCode::kCorrupt);
  }
}

std::vector<std::byte> zstd_frame(std::span<const std::byte> plain) {
  std::vector<std::byte> frame(ZSTD_compressBound(plain.size()));
  frame.resize(ZSTD_compress(frame.data(), frame.size(), plain.data(), plain.size(), 1));
  return frame;
}

TEST(PayloadCodec, WhatDoesNotDecompressToWhatItSaysIsRefusedBeforeItTakesMemory) {
  PayloadDecoder decoder(nullptr);
  const auto code_of = [&](std::span<const std::byte> bytes) {
    const auto plain = decoder.decode({.lsn = Lsn(4), .encoding = kPayloadCompressed, .payload = bytes});
    return plain.has_value() ? ErrorCode::kNotice : plain.error().code();
  };
  const auto text = text_of(1, 5000);
  const auto frame = zstd_frame(text);
  EXPECT_EQ(code_of(frame), ErrorCode::kNotice);
  const std::vector<std::byte> zeros(kMostPlainBytes + 1);
  EXPECT_EQ(code_of(zstd_frame(std::span(zeros).first(kMostPlainBytes))), ErrorCode::kNotice);
  EXPECT_EQ(code_of(zstd_frame(zeros)), ErrorCode::kCorrupt);
  auto two = frame;
  two.insert(two.end(), frame.begin(), frame.end());
  EXPECT_EQ(code_of(two), ErrorCode::kCorrupt);
  for (std::size_t bytes = 0; bytes < frame.size(); ++bytes) {
    EXPECT_EQ(code_of(std::span(frame).first(bytes)), ErrorCode::kCorrupt) << bytes;
  }
  auto larger = frame;  // the size of its content, 2 bytes with an offset of 256
  larger[5] ^= std::byte{0x10};
  EXPECT_EQ(code_of(larger), ErrorCode::kCorrupt);
  const std::byte skippable[] = {std::byte{0x50}, std::byte{0x2a}, std::byte{0x4d}, std::byte{0x18},
                                 std::byte{0},    std::byte{0},    std::byte{0},    std::byte{0}};
  EXPECT_EQ(code_of(skippable), ErrorCode::kCorrupt);
}

TEST(PayloadCodec, SeededMutationsNeverHarm) {
  const Sealed sealed(Coding::kAes);
  PayloadDecoder decoder(sealed.keys);
  const auto text = text_of(3, 2000);
  const std::vector<std::vector<std::byte>> corpus = {zstd_frame(text), zstd_frame(payload_of(1, 300)),
                                                      zstd_frame(std::vector<std::byte>(100000)),
                                                      sealed.stored.bytes};
  std::uint64_t decoded = 0;
  for (std::uint64_t seed = 1; seed <= 20000; ++seed) {
    SimRandom dice(seed);
    auto bytes = corpus[dice.below(corpus.size())];
    for (std::uint64_t i = 1 + dice.below(4); i > 0; --i) {
      const std::size_t at =
          dice.chance(1, 2) ? dice.below(std::min<std::size_t>(bytes.size(), 30)) : dice.below(bytes.size());
      switch (dice.below(4)) {
        case 0: bytes[at] = static_cast<std::byte>(dice.below(256)); break;
        case 1: bytes[at] ^= static_cast<std::byte>(1U << dice.below(8)); break;
        case 2: bytes.resize(at + 1); break;
        default:
          bytes.insert(bytes.begin() + static_cast<std::ptrdiff_t>(at), dice.below(9), std::byte{0xff});
      }
    }
    RecordView record = sealed.stored.record;
    record.payload = bytes;
    record.encoding = static_cast<std::uint8_t>(dice.below(4));
    const auto plain = decoder.decode(record);
    if (!plain.has_value()) continue;
    ++decoded;
    ASSERT_LE(plain->size(), kMostPlainBytes);
    if (bytes == sealed.stored.bytes) continue;  // a mutation that changed nothing
    ASSERT_EQ(record.encoding & kPayloadEncrypted, 0) << "seed " << seed;
  }
  EXPECT_GT(decoded, 1000U);
}

TEST(PayloadCodec, ReadersRefuseFlagsThatTheyDoNotKnowAndMarksWithAny) {
  const auto state_of = [](RecordKind kind, std::uint8_t encoding) {
    std::vector<std::byte> bytes(record_bytes(0));
    encode_record(bytes, 3, {.lsn = Lsn(9), .kind = kind, .encoding = encoding}, {});
    RecordView out;
    return decode_record(bytes, 3, out);
  };
  for (const std::uint8_t encoding : {0, 1, 2, 3}) {
    EXPECT_EQ(state_of(RecordKind::kRowCommit, encoding), RecordState::kValid);
    EXPECT_EQ(state_of(RecordKind::kFiller, encoding),
              encoding == 0 ? RecordState::kValid : RecordState::kTooNew);
  }
  for (const std::uint8_t encoding : {4, 7, 128}) {
    EXPECT_EQ(state_of(RecordKind::kRowCommit, encoding), RecordState::kTooNew);
  }
  World world(1);
  auto stream = world.open().value();
  EXPECT_EQ(stream->append(std::array{RecordInput{.encoding = 4}}).error().code(),
            ErrorCode::kInvalidArgument);
}

TEST(PayloadCodec, AWrongAMissingAndALostKeyAreTold) {
  World world(1);
  Options options = options_of(world, Coding::kAes);
  {
    auto stream = world.open(options).value();
    ASSERT_TRUE(ok(append_one(*stream, 1, 100)));
    ASSERT_TRUE(ok(stream->close()));
  }
  options.codec.by = keks({2});
  EXPECT_EQ(world.open(options).error().code(), ErrorCode::kEncryptionKeyWrong);
  EXPECT_EQ(world.open().error().code(), ErrorCode::kEncryptionKeyMissing);
  // Both files lost: the log opens with new keys, and says which record cannot be read.
  for (const auto name : kKeyFileNames) {
    ASSERT_TRUE(ok(world.disk.remove(fmt::format("{}/{}", kDirectory, name))));
  }
  auto stream = world.open(options).value();
  ASSERT_TRUE(ok(append_one(*stream, 2, 100)));
  ASSERT_TRUE(ok(stream->wait_durable(Lsn(2))));
  const auto lost = read_all(*stream, Lsn(1));
  ASSERT_FALSE(lost.has_value());
  EXPECT_EQ(lost.error().code(), ErrorCode::kEncryptionKeyMissing);
  EXPECT_NE(lost.error().what().find("LSN 1 "), std::string::npos) << lost.error().what();
  EXPECT_EQ(read_all(*stream, Lsn(2)).value().at(0).payload, payload_of(2, 100));
}

TEST(PayloadCodec, KeysAreReplacedWhileTheLogIsInUse) {
  World world(1);
  Options options = options_of(world, Coding::kBoth);
  options.codec.key_lifetime_us = 1000;
  std::set<std::uint64_t> used;
  const auto key_of = [](const RecordView& record) {
    std::uint64_t id = 0;
    std::memcpy(&id, record.payload.data(), 8);
    return id;
  };
  {
    auto stream = world.open(options).value();
    ASSERT_TRUE(ok(append_one(*stream, 1, 500)));
    ASSERT_TRUE(ok(stream->maintain()));
    EXPECT_EQ(stream->keys()->size(), 1U) << "it is not old yet";
    ASSERT_TRUE(ok(append_one(*stream, 2, 500)));
    world.clock.advance(std::chrono::milliseconds(2));
    ASSERT_TRUE(ok(stream->maintain()));
    EXPECT_EQ(stream->keys()->size(), 2U);
    ASSERT_TRUE(ok(append_one(*stream, 3, 500)));
    ASSERT_TRUE(ok(stream->keys()->rewrap(keks({2, 1}))));
    ASSERT_TRUE(ok(append_one(*stream, 4, 500)));
    ASSERT_TRUE(ok(stream->keys()->rotate()));
    ASSERT_TRUE(ok(append_one(*stream, 5, 500)));
    ASSERT_TRUE(ok(stream->wait_durable(Lsn(5))));
  }
  const auto stored = all_stored(world.disk, kDirectory);
  ASSERT_EQ(stored.size(), 5U);
  EXPECT_EQ(key_of(stored[0].record), key_of(stored[1].record));
  EXPECT_NE(key_of(stored[1].record), key_of(stored[2].record));
  EXPECT_EQ(key_of(stored[2].record), key_of(stored[3].record));
  EXPECT_NE(key_of(stored[3].record), key_of(stored[4].record));
  options.codec.by = keks({2});
  auto stream = world.open(options).value();
  const auto copies = read_all(*stream, Lsn(1)).value();
  for (std::uint64_t i = 1; i <= 5; ++i) EXPECT_EQ(copies.at(i - 1).payload, payload_of(i, 500));
}

TEST(PayloadCodec, ARecordMovesIntoAnotherStreamAsItIs) {
  World world(1);
  Options options = options_of(world, Coding::kBoth);
  auto from = world.open(options).value();
  ASSERT_TRUE(
      ok(append(*from, {Entry{DatabaseId(1), text_of(1, 800)}, Entry{DatabaseId(2), payload_of(2, 90)}})));
  ASSERT_TRUE(ok(from->wait_durable(Lsn(2))));
  options.directory = "/other";
  options.codec.key_directory = kDirectory;
  auto to = world.open(options).value();
  for (const Stored& one : all_stored(world.disk, kDirectory)) {
    const std::span<const std::byte> part = one.bytes;
    ASSERT_TRUE(ok(to->append(std::array{RecordInput{.database = one.record.database,
                                                     .kind = one.record.kind,
                                                     .flags = one.record.flags,
                                                     .producer = one.record.producer,
                                                     .sequence = one.record.sequence,
                                                     .payload = std::span(&part, 1),
                                                     .encoding = one.record.encoding}})));
  }
  ASSERT_TRUE(ok(to->wait_durable(Lsn(2))));
  const auto copies = read_all(*to, Lsn(1)).value();
  EXPECT_EQ(copies.at(0).payload, text_of(1, 800));
  EXPECT_EQ(copies.at(1).payload, payload_of(2, 90));
  const auto before = all_stored(world.disk, kDirectory);
  const auto after = all_stored(world.disk, "/other");
  for (std::size_t i = 0; i < 2; ++i) EXPECT_EQ(before[i].bytes, after[i].bytes);
}

struct Payloads final : InspectionSink {
  void segment(const std::string&, const SegmentHeader&) override {}
  void record(const RecordView& record, ByteOffset) override {
    if (is_entry(record.kind)) payloads.emplace_back(record.payload.begin(), record.payload.end());
  }
  void problem(const Error& error) override { problems.push_back(error); }
  void end(Lsn, const std::string&) override {}
  std::vector<std::vector<std::byte>> payloads;
  std::vector<Error> problems;
};

TEST(PayloadCodec, AnInspectionReadsWithTheKeysAndChecksWithoutThem) {
  World world(1);
  auto stream = world.open(options_of(world, Coding::kBoth)).value();
  ASSERT_TRUE(ok(append(*stream, {Entry{DatabaseId(1), text_of(1, 800)}})));
  ASSERT_TRUE(ok(append(*stream, {Entry{DatabaseId(1), payload_of(1, 80)}})));
  ASSERT_TRUE(ok(stream->wait_durable(Lsn(2))));
  Payloads open, closed, lost;
  const auto summary = inspect(world.disk, kDirectory, open, stream->keys()).value();
  EXPECT_EQ(summary.encrypted, 2U);
  EXPECT_EQ(summary.compressed, 1U);
  EXPECT_EQ(open.payloads, (std::vector{text_of(1, 800), payload_of(1, 80)}));
  EXPECT_EQ(inspect(world.disk, kDirectory, closed).value().problems, 0U);
  EXPECT_NE(closed.payloads.at(0), text_of(1, 800));
  World elsewhere(2);
  ASSERT_TRUE(ok(elsewhere.disk.create_directories("/k")));
  const auto others =
      KeyRing::open(elsewhere.disk, elsewhere.clock, elsewhere.random, "/k", keks({1}), KeyRing::Mode::kWrite)
          .value();
  EXPECT_EQ(inspect(world.disk, kDirectory, lost, others).value().problems, 2U);
  EXPECT_EQ(lost.problems.at(0).code(), ErrorCode::kEncryptionKeyMissing);
}

TEST(NonceSource, TakesANewPrefixBeforeTheCounterComesAround) {
  SimRandom random(1);
  NonceSource nonces(random, (1ULL << 32U) - 2);
  std::set<Nonce> seen;
  std::set<std::uint64_t> prefixes;
  for (int i = 0; i < 5; ++i) {
    const Nonce nonce = nonces.next();
    EXPECT_TRUE(seen.insert(nonce).second);
    std::uint64_t prefix = 0;
    std::memcpy(&prefix, nonce.data(), 8);
    prefixes.insert(prefix);
  }
  EXPECT_EQ(prefixes.size(), 2U);
}

// Everything that was ever stored, by data key and nonce, over crashes, forks, restored copies and new keys:
// a nonce that comes again comes with the bytes that it had.
TEST(Nonces, AreNeverUsedTwiceOverCrashesForksAndRestores) {
  std::uint64_t openings = 0, forks = 0, records = 0, found_again = 0;
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    SCOPED_TRACE(seed);
    World world(seed, {.longest_delay = 5, .trace_length = 0});
    SimRandom dice(seed * 31);
    std::vector<std::string> copies = {kDirectory};
    std::map<std::array<std::byte, kSealHeadBytes>, std::vector<std::byte>> used;
    std::set<std::uint64_t> prefixes;
    std::uint64_t tag = 0, opened = 0;
    const auto collect = [&] {
      for (const auto& directory : copies) {
        each_stored(world.disk, directory, [&](const RecordView& record) {
          ASSERT_EQ(record.encoding & kPayloadEncrypted, kPayloadEncrypted);
          std::array<std::byte, kSealHeadBytes> head;
          std::ranges::copy(record.payload.first(kSealHeadBytes), head.begin());
          std::uint64_t prefix = 0;
          std::memcpy(&prefix, head.data() + 8, 8);
          prefixes.insert(prefix);
          std::vector<std::byte> bytes(record.payload.begin(), record.payload.end());
          const auto [at, is_new] = used.emplace(head, bytes);
          if (!is_new) {
            ++found_again;
            ASSERT_EQ(at->second, bytes) << "a nonce was used for two records";
          }
        });
      }
    };
    for (int life = 0; life < 8; ++life) {
      const std::string directory = copies[dice.below(copies.size())];
      Options options = options_of(world, dice.chance(1, 2) ? Coding::kAes : Coding::kBoth);
      options.directory = directory;
      auto stream = world.open(options).value();
      ++opened;
      for (std::uint64_t i = 2 + dice.below(15); i > 0; --i) {
        // The same payload each time a life begins anew: what a repeated nonce would betray.
        ASSERT_TRUE(ok(append_one(*stream, i, 200 + dice.below(2000))));
        ++tag;
        if (dice.chance(1, 4)) {
          ASSERT_TRUE(ok(stream->wait_durable(stream->appended())));
        }
        if (dice.chance(1, 12)) {
          ASSERT_TRUE(ok(stream->keys()->rotate()));
        }
        if (dice.chance(1, 3)) {
          ASSERT_TRUE(ok(stream->maintain()));
        }
        static_cast<void>(world.disk.poll());
      }
      collect();
      if (dice.chance(1, 3)) {
        ASSERT_TRUE(ok(stream->close()));
      } else if (dice.chance(1, 3)) {
        world.disk.process_kill();
      } else {
        world.disk.power_cut();
      }
      stream.reset();
      collect();
      if (dice.chance(1, 3) && copies.size() < 4) {
        copies.push_back("/fork" + std::to_string(copies.size()));
        copy_directory(world.disk, directory, copies.back());
        ++forks;
      }
      if (testing::Test::HasFatalFailure()) return;
    }
    EXPECT_LE(prefixes.size(), opened);
    openings += opened, records += tag;
  }
  EXPECT_GT(forks, 50U);
  EXPECT_GT(found_again, records) << "copies share what was written before they parted";
}

}  // namespace
}  // namespace bop::aof::test
