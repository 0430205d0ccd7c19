#include "backup/page_history.hpp"

#include <utility>

#include "database/records.hpp"

namespace bop::backup {

using aof::RecordKind;
using database::PageForm;

void PageHistory::begin_with(Key key, const Page& page, Lsn base) {
  State& state = pages_[key];
  state = {.page = page, .csn = Csn(0), .image = Csn(0), .since = base};
}

Status PageHistory::follow(const aof::RecordView& record) {
  Open& open = open_[record.database];
  switch (record.kind) {
    case RecordKind::kRowPart: {
      BOP_LET(part, rowstore::parse_row_record(record.kind, record.payload));
      if (part.part_or_parts == 0) open = {.transaction = part.transaction, .parts = {}};
      open.parts.emplace_back(record.payload.begin(), record.payload.end());
      return {};
    }
    case RecordKind::kRowCommit: {
      BOP_LET(commit, rowstore::parse_row_record(record.kind, record.payload));
      const auto parts = std::exchange(open.parts, {});
      if (commit.part_or_parts != 0 && commit.part_or_parts == parts.size() &&
          commit.transaction == open.transaction) {
        for (const rowstore::Bytes& bytes : parts) {
          BOP_LET(part, rowstore::parse_row_record(RecordKind::kRowPart, bytes));
          apply(record.database, record.lsn, part);
        }
      }
      apply(record.database, record.lsn, commit);
      // What was cut off begins with a full image when it grows again.
      for (auto& [key, state] : pages_) {
        const bool cut = key.database == record.database && key.page.value > commit.database_pages;
        if (cut && record.lsn > state.since) state.page.reset();
      }
      return {};
    }
    case RecordKind::kRewind: open.parts.clear(); return {};
    default: return {};
  }
}

void PageHistory::apply(DatabaseId database, Csn csn, const rowstore::RowRecord& record) {
  for (const rowstore::PageEntry& entry : record.pages) {
    const auto found = pages_.find({database, entry.page});
    if (found == pages_.end() || csn <= found->second.since) continue;
    State& state = found->second;
    if (entry.form == PageForm::kFull) {
      state.page.emplace();
      state.page->fill(std::byte{0});
      state.image = csn;
    } else if (!state.page || state.image != entry.base) {
      state.page.reset();
      continue;
    }
    state.csn = csn;
    const auto usable = std::span(*state.page).first<kPageUsableBytes>();
    if (!rowstore::apply_page(entry, database, usable)) state.page.reset();
  }
}

const PageHistory::Page* PageHistory::content(Key key) const {
  const auto found = pages_.find(key);
  return found == pages_.end() || !found->second.page ? nullptr : &*found->second.page;
}

}  // namespace bop::backup
