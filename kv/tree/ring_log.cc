#include "kv/tree/ring_log.h"

#include <algorithm>
#include <cstdlib>
#include <new>

namespace splitring::kv {
namespace {

constexpr uint64_t kLargestBlock = 4096;  // of a disk

DiskBatch header_of(const std::byte* at) {
  DiskBatch header;
  std::memcpy(&header, at, sizeof header);
  return header;
}

// With the hash's own bytes as zeroes; they are put back.
Hash hash_batch(std::byte* at, size_t bytes, uint64_t store_id) {
  DiskBatch header = header_of(at);
  DiskBatch blank = header;
  blank.hash_low = 0;
  blank.hash_high = 0;
  std::memcpy(at, &blank, sizeof blank);
  const Hash hash = hash_of({at, bytes}, store_id);
  std::memcpy(at, &header, sizeof header);
  return hash;
}

}  // namespace

void Batch::grow(size_t bytes) {
  const size_t needed = round_up(bytes, kPageBytes);
  if (needed <= capacity_) return;
  const size_t capacity = std::max(needed, capacity_ * 2);
  std::unique_ptr<std::byte, Free> larger(
      static_cast<std::byte*>(std::aligned_alloc(kPageBytes, capacity)));
  if (larger == nullptr) throw std::bad_alloc();
  if (memory_ != nullptr) std::memcpy(larger.get(), memory_.get(), bytes_);
  memory_ = std::move(larger);
  capacity_ = capacity;
}

void Batch::add(uint64_t sequence, uint32_t changes, std::string_view log, bool names_values) {
  grow(bytes_ + sizeof(DiskTransaction) + log.size());
  last_sequence_ = sequence;
  names_values_ = names_values_ || names_values;
  DiskTransaction header;
  header.bytes = static_cast<uint32_t>(log.size());
  header.changes = changes;
  header.sequence = sequence;
  std::memcpy(memory_.get() + bytes_, &header, sizeof header);
  std::ranges::copy(std::as_bytes(std::span(log)), memory_.get() + bytes_ + sizeof header);
  bytes_ += sizeof header + log.size();
}

Result<RingLog::Position> RingLog::write(Batch& batch, BlockQueue& lane, bool flush) const {
  const uint64_t padded = round_up(batch.bytes_, shape_.block_bytes);
  std::byte* const at = batch.memory_.get();
  std::memset(at + batch.bytes_, 0, padded - batch.bytes_);
  const uint64_t room = room_to_end(end_.at);
  const uint64_t position = end_.at + (room < padded ? room : 0);
  DiskBatch header;
  header.magic = kBatchMagic;
  header.bytes = static_cast<uint32_t>(batch.bytes_);
  header.position = position;
  header.durable_position = batch.names_values_ ? position : end_.durable;
  header.last_sequence = batch.last_sequence_;
  header.previous_hash_low = end_.hash.low;
  header.previous_hash_high = end_.hash.high;
  std::memcpy(at, &header, sizeof header);
  const Hash hash = hash_batch(at, batch.bytes_, shape_.store_id);
  header.hash_low = hash.low;
  header.hash_high = hash.high;
  std::memcpy(at, &header, sizeof header);
  const Sectors place =
      Sectors::from_bytes(shape_.first_page * kPageBytes + position % shape_.bytes);
  const bool alone = batch.names_values_ || end_.durable == end_.at;
  if (batch.names_values_) TRY_VOID(lane.flush());
  if (flush && alone) {
    TRY_VOID(lane.write_durably(place, {at, padded}));
  } else {
    TRY_VOID(lane.write(place, {at, padded}));
    if (flush) TRY_VOID(lane.flush());
  }
  return Position{position + padded, hash,
                  flush ? position + padded : uint64_t{header.durable_position}};
}

Result<uint64_t> RingLog::replay_batch(Bytes batch, uint64_t last, const Visit& visit) {
  const auto bad = [] { return fail(Errc::kInvalid, "a batch in the ring makes no sense"); };
  while (!batch.empty()) {
    DiskTransaction transaction;
    if (batch.size() < sizeof transaction) return bad();
    std::memcpy(&transaction, batch.data(), sizeof transaction);
    batch = batch.subspan(sizeof transaction);
    if (transaction.bytes > batch.size() || transaction.sequence <= last) return bad();
    last = transaction.sequence;
    Bytes changes = batch.first(transaction.bytes);
    batch = batch.subspan(transaction.bytes);
    while (!changes.empty()) {
      DiskChange change;
      if (changes.size() < sizeof change) return bad();
      std::memcpy(&change, changes.data(), sizeof change);
      changes = changes.subspan(sizeof change);
      const size_t key_bytes = change.key_bytes;
      const size_t payload_bytes = change.payload_bytes;
      if (payload_bytes > kMaxPayloadBytes || key_bytes + payload_bytes > changes.size())
        return bad();
      TRY_VOID(visit({last, change.kind, text_of(changes.first(key_bytes)),
                      changes.subspan(key_bytes, payload_bytes)}));
      changes = changes.subspan(key_bytes + payload_bytes);
    }
  }
  return last;
}

Result<std::span<std::byte>> RingLog::whole_batch(RingReader& reader, uint64_t position) const {
  const auto head = TRY(reader.bytes(position, sizeof(DiskBatch)));
  if (head.empty()) return head;
  const DiskBatch header = header_of(head.data());
  const uint64_t bytes = header.bytes;
  if (header.magic != kBatchMagic || bytes <= sizeof header || bytes > most_batch_bytes() ||
      header.position != position || position - begin_ + bytes > shape_.bytes)
    return std::span<std::byte>();
  const auto batch = TRY(reader.bytes(position, bytes));
  if (batch.empty() ||
      hash_batch(batch.data(), bytes, shape_.store_id) != Hash{header.hash_low, header.hash_high})
    return std::span<std::byte>();
  return batch;
}

// At the end; or, if it was written when the store was on a disk with larger blocks, at the next of
// those; or, if it did not fit before the ring's end, at its beginning.
Result<std::span<std::byte>> RingLog::next_batch(RingReader& reader) const {
  const uint64_t at = end_.at;
  uint64_t tried = UINT64_MAX;
  for (const uint64_t position :
       {at, round_up(at, kLargestBlock), at % shape_.bytes == 0 ? at : at + room_to_end(at)}) {
    if (position == tried || position - begin_ >= shape_.bytes) continue;
    tried = position;
    const auto batch = TRY(whole_batch(reader, position));
    if (batch.empty()) continue;
    const DiskBatch header = header_of(batch.data());
    if (Hash{header.previous_hash_low, header.previous_hash_high} == end_.hash) return batch;
  }
  return std::span<std::byte>();
}

// A batch that is torn was the last one. One behind it was written once it had been durable.
Result<> RingLog::look_for_lost(RingReader& reader) const {
  const uint64_t reach = most_batch_bytes() + kLargestBlock;
  for (uint64_t at = end_.at; at < end_.at + reach && at - begin_ < shape_.bytes;
       at += kSectorSize) {
    const auto batch = TRY(whole_batch(reader, at));
    if (batch.empty() || header_of(batch.data()).durable_position <= end_.at) continue;
    return fail(Errc::kIo, "the ring is not what was written at position " +
                               std::to_string(end_.at) + ": transactions are missing");
  }
  return {};
}

Result<RingLog::Replay> RingLog::replay(BlockQueue& lane, const Visit& visit) {
  const auto reader = TRY(RingReader::create(shape_.first_page, shape_.bytes, begin_, lane));
  Replay found;
  while (true) {
    const auto batch = TRY(next_batch(*reader));
    if (batch.empty()) break;
    const DiskBatch header = header_of(batch.data());
    found.last_sequence =
        TRY(replay_batch(batch.subspan(sizeof header), found.last_sequence, visit));
    const uint64_t at = header.position + round_up(header.bytes, kSectorSize);
    end_ = {at, {header.hash_low, header.hash_high}, at};
  }
  TRY_VOID(look_for_lost(*reader));
  if (found.last_sequence != 0) found.memory = std::move(*reader).take(end_.at);
  // What is written next begins at a block of this disk; `durable` stays the end of what was found.
  end_.at = round_up(end_.at, shape_.block_bytes);
  return found;
}

}  // namespace splitring::kv
