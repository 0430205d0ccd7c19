// A group of one: durable is committed, terms grow with every start.
#include "raft/single_node_group.hpp"

#include <array>
#include <vector>

#include <gtest/gtest.h>

#include "base/sim.hpp"
#include "base/sim_disk.hpp"

namespace bop::raft {
namespace {

struct World {
  SimDisk disk{1};
  SimClock clock;
  SimRandom random{2};

  std::unique_ptr<SingleNodeGroup> open() {
    auto stream =
        aof::CommitStream::open(disk, clock, random, {.directory = "/log", .segment_bytes = 64U << 10U})
            .value();
    return SingleNodeGroup::open(std::move(stream)).value();
  }
};

const std::array kCommit{aof::RecordInput{.database = DatabaseId(3), .kind = aof::RecordKind::kRowCommit}};

TEST(SingleNodeGroup, CommitsWhatIsDurable) {
  World world;
  auto group = world.open();
  std::vector<Lsn> seen;
  group->subscribe([&](Lsn committed) { seen.push_back(committed); });
  EXPECT_TRUE(group->is_leader());
  const Lsn lsn = group->propose(kCommit).value();
  EXPECT_EQ(group->appended(), lsn);
  EXPECT_LT(group->committed(), lsn);
  ASSERT_TRUE(group->wait_committed(lsn).has_value());
  EXPECT_EQ(group->committed(), lsn);
  EXPECT_EQ(group->durable(), lsn);
  ASSERT_FALSE(seen.empty());
  EXPECT_EQ(seen.back(), lsn);
  Lsn read_point;
  group->read_index([&](Result<Lsn> at) { read_point = at.value(); });
  EXPECT_EQ(read_point, lsn);
}

TEST(SingleNodeGroup, EveryStartIsANewTermThatBeginsWithItsNoop) {
  World world;
  Lsn last;
  {
    auto group = world.open();
    EXPECT_EQ(group->term(), Term(1));
    last = group->propose(kCommit).value();
    ASSERT_TRUE(group->close().has_value());
  }
  auto group = world.open();
  EXPECT_EQ(group->term(), Term(2));
  EXPECT_EQ(group->timeline(), Timeline(1));
  ASSERT_TRUE(group->wait_committed(group->appended()).has_value());
  auto reader = group->read_from(last.next(), std::nullopt).value();
  const auto record = reader->next().value().value();
  EXPECT_EQ(record.kind, aof::RecordKind::kNoop);
  EXPECT_EQ(record.term, Term(2));
  EXPECT_EQ(record.previous.index, last);
  EXPECT_EQ(record.previous.term, Term(1));
}

TEST(SingleNodeGroup, AFailedWriteEndsProposalsAndIsTold) {
  World world;
  auto group = world.open();
  ASSERT_TRUE(group->wait_committed(group->appended()).has_value());
  const Lsn committed = group->committed();
  int told = 0;
  group->on_failure([&](const Error& error) {
    ++told;
    EXPECT_EQ(error.code(), ErrorCode::kPoisoned);
  });
  world.disk.fail_call(1, SimFault::kIo);
  const Lsn lost = group->propose(kCommit).value();
  EXPECT_EQ(group->wait_committed(lost).error().code(), ErrorCode::kPoisoned);
  EXPECT_EQ(told, 1);
  EXPECT_EQ(group->propose(kCommit).error().code(), ErrorCode::kPoisoned);
  EXPECT_EQ(group->committed(), committed);
  EXPECT_TRUE(group->failure().has_value());
  auto reader = group->read_from(Lsn(1), std::nullopt).value();
  EXPECT_EQ(reader->next().value().value().lsn, Lsn(1));
}

}  // namespace
}  // namespace bop::raft
