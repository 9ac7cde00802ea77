#include "fs/fat/fat_io.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <deque>
#include <string>

#include "fs/disk_bytes.h"

namespace splitring {
namespace {

constexpr size_t kInFlight = 32;
constexpr size_t kPiecesPerRequest = 256;  // and some more in its last block; IOV_MAX is 1024
constexpr size_t kZeroBytes = size_t{1} << 16;

}  // namespace

// One request. Where it does not begin and end with a block, `bounce` holds it instead.
struct FatWriteBatch::Run : BlockRequest {
  uint64_t offset = 0;  // of the first piece
  uint64_t end = 0;
  std::vector<Piece> pieces;
  std::vector<iovec> parts;
  std::vector<std::byte> bounce;
  size_t* left = nullptr;
};

void FatWriteBatch::add(uint64_t offset, std::span<const std::byte> bytes) {
  if (bytes.empty()) return;
  if (!pieces_.empty() && pieces_.back().end() == offset &&
      pieces_.back().bytes.data() + pieces_.back().bytes.size() == bytes.data()) {
    Piece& last = pieces_.back();
    last.bytes = {last.bytes.data(), last.bytes.size() + bytes.size()};
    return;
  }
  pieces_.push_back({offset, bytes});
}

// Puts the run's pieces into whole blocks, with what else is in those.
Result<> FatWriteBatch::fill_gaps(BlockQueue& lane, Run& run, uint64_t block) {
  const uint64_t begin = run.offset / block * block;
  const uint64_t end = round_up(run.end, block);
  run.bounce.resize(end - begin);
  TRY_VOID(lane.read(Sectors::from_bytes(begin), run.bounce));
  for (const Piece& piece : run.pieces)
    std::memcpy(run.bounce.data() + (piece.offset - begin), piece.bytes.data(), piece.bytes.size());
  run.parts = {{run.bounce.data(), run.bounce.size()}};
  run.offset = begin;
  return {};
}

Result<> FatWriteBatch::run(BlockQueue& lane) {
  const std::vector<Piece> pieces = std::exchange(pieces_, {});
  std::vector<Piece> sorted = pieces;
  std::ranges::sort(sorted, {}, &Piece::offset);
  const uint64_t block = lane.geometry().logical_block_bytes;
  const uint64_t largest = std::max<uint64_t>(lane.geometry().largest_request_bytes, block);

  std::deque<Run> runs;
  for (Piece piece : sorted) {
    while (!piece.bytes.empty()) {
      // Runs never share a block; those that touch are joined while that makes no request too
      // large.
      const bool shares = !runs.empty() && runs.back().end > piece.offset / block * block;
      const bool joins = shares || (!runs.empty() && runs.back().end == piece.offset &&
                                    runs.back().end - runs.back().offset < largest &&
                                    runs.back().pieces.size() < kPiecesPerRequest);
      if (!joins) {
        runs.emplace_back();
        runs.back().offset = runs.back().end = piece.offset;
      }
      Run& run = runs.back();
      const uint64_t limit =
          std::max(round_up(run.offset + largest, block), round_up(piece.offset + 1, block));
      const size_t part = std::min<uint64_t>(piece.bytes.size(), limit - piece.offset);
      run.pieces.push_back({piece.offset, piece.bytes.first(part)});
      run.end = piece.offset + part;
      piece = {piece.offset + part, piece.bytes.subspan(part)};
    }
  }

  size_t in_flight = 0;
  IoStatus failure = IoStatus::kOk;
  Result<> edge_failure;
  const auto collect = [&](size_t allowed) {
    while (in_flight > allowed) lane.wait();
  };
  for (Run& run : runs) {
    collect(kInFlight - 1);
    bool whole = run.offset % block == 0 && run.end % block == 0;
    uint64_t expected = run.offset;
    for (const Piece& piece : run.pieces) {
      whole = whole && piece.offset == expected && piece.bytes.size() % kSectorSize == 0;
      expected = piece.end();
      // iovec has no const; a write does not change its buffers.
      run.parts.push_back({const_cast<std::byte*>(piece.bytes.data()), piece.bytes.size()});
    }
    if (!whole) {
      edge_failure = fill_gaps(lane, run, block);
      if (!edge_failure) break;
    }
    run.operation = Operation::kWrite;
    run.first = Sectors::from_bytes(run.offset);
    run.buffers = run.parts;
    run.left = &in_flight;
    run.complete = [](BlockRequest& r) noexcept { --*static_cast<Run&>(r).left; };
    in_flight++;
    lane.submit(run);
  }
  lane.kick();
  collect(0);
  TRY_VOID(std::move(edge_failure));
  for (const Run& run : runs) {
    if (run.status != IoStatus::kOk && failure == IoStatus::kOk) {
      failure = run.status;
      return fail(errc_from(failure), "write of " + std::to_string(run.byte_count) +
                                          " bytes at byte " + std::to_string(run.offset) + ": " +
                                          to_string(failure));
    }
  }
  return {};
}

Result<> write_disk_bytes(BlockQueue& lane, uint64_t offset, std::span<const std::byte> bytes) {
  const uint64_t block = lane.geometry().logical_block_bytes;
  if (offset % block == 0 && bytes.size() % block == 0)
    return lane.write(Sectors::from_bytes(offset), bytes);
  FatWriteBatch batch;
  batch.add(offset, bytes);
  return batch.run(lane);
}

Result<> zero_disk_bytes(BlockQueue& lane, uint64_t offset, uint64_t bytes) {
  static const std::vector<std::byte> zeroes(kZeroBytes);
  const uint64_t block = lane.geometry().logical_block_bytes;
  if (offset % block == 0 && bytes % block == 0) {
    auto done = lane.write_zeroes(Sectors::from_bytes(offset), Sectors::from_bytes(bytes));
    if (done || done.error().code != Errc::kUnsupported) return done;
  }
  while (bytes != 0) {
    const uint64_t part = std::min<uint64_t>(bytes, zeroes.size());
    TRY_VOID(write_disk_bytes(lane, offset, std::span(zeroes).first(part)));
    offset += part;
    bytes -= part;
  }
  return {};
}

}  // namespace splitring
