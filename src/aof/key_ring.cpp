#include "aof/key_ring.hpp"

#include <algorithm>
#include <utility>

#include "base/assert.hpp"

namespace bop::aof {

Result<std::shared_ptr<KeyRing>> KeyRing::open(Disk& disk, Clock& clock, Random& random,
                                               std::string directory,
                                               std::shared_ptr<const KeyEncryptionKeys> by, Mode mode) {
  BOP_LET(files, read_key_files(disk, directory));
  std::shared_ptr<KeyRing> ring(new KeyRing(disk, clock, random, std::move(directory), std::move(by)));
  if (!files.has_value()) {
    if (mode == Mode::kRead) {
      return fail(ErrorCode::kEncryptionKeyMissing, "{} holds no keys of the log (keys.0, keys.1)",
                  ring->directory_);
    }
    BOP_TRY(ring->rotate());
    return ring;
  }
  BOP_TRY(ring->load(*files));
  if (mode == Mode::kRead) return ring;
  Status mended;
  if (files->file.wrapping_key != ring->by_->first().id) {
    std::scoped_lock lock(ring->changes_);
    KeyFile file = ring->file_;
    BOP_TRY(ring->wrap_all(file, ring->by_->first()));
    mended = ring->store(std::move(file), ring->by_->first());
  } else if (!files->other_is_equal) {
    mended = write_key_file(disk, ring->directory_, 1 - files->slot, files->bytes);
  }
  if (!mended.has_value() && mended.error().code() != ErrorCode::kDiskFull) {
    return std::unexpected(std::move(mended).error());
  }
  return ring;
}

Status KeyRing::load(const KeyFiles& files) {
  const KeyEncryptionKey* by = by_->find(files.file.wrapping_key);
  if (by == nullptr) {
    return std::unexpected(
        error(ErrorCode::kEncryptionKeyWrong,
              "{}: the keys of the log are wrapped by the key {:016x}, and {} holds {}{:016x}", files.path,
              files.file.wrapping_key, by_->source, by_->keys.size() > 1 ? "others, the first of them " : "",
              by_->first().id)
            .hint("Add the key that was set before, on a line behind the new one."));
  }
  BOP_LET(holds, seal_holds(files.bytes, *by));
  if (!holds) {
    return fail(ErrorCode::kCorrupt, "{}: it was changed by somebody without the key {:016x}", files.path,
                by->id);
  }
  for (const WrappedKey& wrapped : files.file.keys) {
    BOP_LET(key, unwrap_key(*by, wrapped));
    if (!key.has_value()) {
      return fail(ErrorCode::kCorrupt, "{}: the data key {:016x} does not unwrap", files.path, wrapped.id);
    }
    auto made = std::make_shared<DataKey>();
    made->id = wrapped.id;
    made->created_us = wrapped.created_us;
    made->key = std::move(*key);
    if (made->id == files.file.key_in_use) in_use_ = made;
    keys_.emplace(made->id, std::move(made));
  }
  file_ = files.file;
  newest_generation_ = file_.generation;
  BOP_ASSERT(in_use_ != nullptr);
  return {};
}

std::shared_ptr<const DataKey> KeyRing::in_use() const {
  std::scoped_lock lock(state_);
  return in_use_;
}

std::shared_ptr<const DataKey> KeyRing::find(std::uint64_t id) const {
  std::scoped_lock lock(state_);
  const auto found = keys_.find(id);
  return found == keys_.end() ? nullptr : found->second;
}

std::size_t KeyRing::size() const {
  std::scoped_lock lock(state_);
  return keys_.size();
}

std::uint64_t KeyRing::wrapping_key() const {
  std::scoped_lock lock(state_);
  return file_.wrapping_key;
}

Status KeyRing::add_key(KeyFile& file, std::shared_ptr<const DataKey>& made) {
  if (file.keys.size() >= kMostDataKeys) {
    return fail(ErrorCode::kProgramLimitExceeded, "{}: there are {} data keys, and no more fit", directory_,
                kMostDataKeys);
  }
  auto key = std::make_shared<DataKey>();
  do {
    key->id = random_.u64();
  } while (key->id == 0 || std::ranges::find(file.keys, key->id, &WrappedKey::id) != file.keys.end());
  key->created_us = clock_.wall_us();
  key->key = SecretKey(random_);
  BOP_LET(wrapped, wrap_key(by_->first(), random_, key->id, key->created_us, key->key));
  file.keys.push_back(wrapped);
  file.key_in_use = key->id;
  made = std::move(key);
  return {};
}

Status KeyRing::wrap_all(KeyFile& file, const KeyEncryptionKey& by) const {
  for (WrappedKey& wrapped : file.keys) {
    const auto key = find(wrapped.id);
    BOP_ASSERT(key != nullptr);
    BOP_LET(again, wrap_key(by, random_, key->id, key->created_us, key->key));
    wrapped = again;
  }
  file.wrapping_key = by.id;
  return {};
}

// Both copies; the state follows only when both are durable.
Status KeyRing::store(KeyFile file, const KeyEncryptionKey& by) {
  file.generation = newest_generation_ + 1;
  BOP_LET(bytes, encode_key_file(file, by, random_));
  newest_generation_ = file.generation;
  for (const int slot : {0, 1}) BOP_TRY(write_key_file(disk_, directory_, slot, bytes));
  std::scoped_lock lock(state_);
  file_ = std::move(file);
  return {};
}

Status KeyRing::rotate() {
  std::scoped_lock lock(changes_);
  KeyFile file = file_;
  const KeyEncryptionKey& by = by_->first();
  if (!file.keys.empty() && file.wrapping_key != by.id) BOP_TRY(wrap_all(file, by));
  file.wrapping_key = by.id;
  std::shared_ptr<const DataKey> made;
  BOP_TRY(add_key(file, made));
  BOP_TRY(store(std::move(file), by));
  std::scoped_lock state(state_);
  keys_.emplace(made->id, made);
  in_use_ = std::move(made);
  return {};
}

Status KeyRing::rewrap(std::shared_ptr<const KeyEncryptionKeys> by) {
  std::scoped_lock lock(changes_);
  if (file_.wrapping_key != by->first().id) {
    KeyFile file = file_;
    BOP_TRY(wrap_all(file, by->first()));
    BOP_TRY(store(std::move(file), by->first()));
  }
  by_ = std::move(by);
  return {};
}

}  // namespace bop::aof
