#include "rowstore/page_applier.hpp"

#include <algorithm>

namespace bop::rowstore {

using database::LogRecord;
using database::PageForm;
using database::RecordKind;

Status PageApplier::apply(const LogRecord& record) {
  switch (record.kind) {
    case RecordKind::kRowPart: {
      BOP_LET(part, parse_row_record(record.kind, record.payload));
      if (part.part_or_parts == 0) {
        open_transaction_ = part.transaction;
        parts_.clear();
      }
      if (part.transaction != open_transaction_ || part.part_or_parts != parts_.size()) {
        return fail(ErrorCode::kCorrupt,
                    "record {}: part {} of transaction {} follows part {} of transaction {}",
                    record.lsn.value, part.part_or_parts, part.transaction, parts_.size(), open_transaction_);
      }
      parts_.emplace_back(record.payload.begin(), record.payload.end());
      return {};
    }
    case RecordKind::kRowCommit: return apply_commit(record);
    case RecordKind::kRewind:
      parts_.clear();
      bases_.clear();
      return {};
    default: return {};
  }
}

Status PageApplier::apply_commit(const LogRecord& record) {
  BOP_LET(commit, parse_row_record(record.kind, record.payload));
  if (commit.part_or_parts != 0) {
    if (commit.transaction != open_transaction_ || commit.part_or_parts != parts_.size()) {
      return fail(ErrorCode::kCorrupt,
                  "record {} closes {} parts of transaction {}, but {} of transaction {} are here",
                  record.lsn.value, commit.part_or_parts, commit.transaction, parts_.size(),
                  open_transaction_);
    }
    for (const Bytes& bytes : parts_) {
      BOP_LET(part, parse_row_record(RecordKind::kRowPart, bytes));
      for (const PageEntry& entry : part.pages) BOP_TRY(apply_entry(entry, record.lsn));
    }
  }
  parts_.clear();
  for (const PageEntry& entry : commit.pages) BOP_TRY(apply_entry(entry, record.lsn));
  if (commit.database_pages < pages_) {
    std::erase_if(changed_, [&](const auto& page) { return page.first > commit.database_pages; });
    std::erase_if(bases_, [&](const auto& page) { return page.first > commit.database_pages; });
  }
  pages_ = commit.database_pages;
  last_commit_ = record.lsn;
  return changed_.size() > kCachedPages ? flush() : Status{};
}

Status PageApplier::apply_entry(const PageEntry& entry, Csn csn) {
  auto& page = changed_[entry.page.value];
  if (!page) {
    page = std::make_unique<Page>();
    page->fill(std::byte{0});
    if (entry.form == PageForm::kDelta) BOP_TRY(file_.read(entry.page, *page));
  }
  if (entry.form == PageForm::kFull) {
    bases_[entry.page.value] = csn;
  } else {
    const auto held = bases_.find(entry.page.value);
    if (held == bases_.end() || held->second != entry.base) {
      return fail(ErrorCode::kCorrupt,
                  "record {}: the delta of page {} starts from the image of {}, but {} is here", csn.value,
                  entry.page.value, entry.base.value, held == bases_.end() ? 0 : held->second.value);
    }
  }
  auto applied = apply_page(entry, database_, std::span(*page).first<kPageUsableBytes>());
  if (!applied) return fail(applied.error().code(), "record {}: {}", csn.value, applied.error().what());
  return {};
}

Status PageApplier::flush() {
  std::vector<std::uint32_t> order;
  order.reserve(changed_.size());
  for (const auto& [number, page] : changed_) order.push_back(number);
  std::ranges::sort(order);
  for (const std::uint32_t number : order) BOP_TRY(file_.write(PageNo(number), *changed_[number]));
  changed_.clear();
  return {};
}

Status PageApplier::finish() {
  BOP_TRY(flush());
  return file_.resize(pages_);
}

}  // namespace bop::rowstore
