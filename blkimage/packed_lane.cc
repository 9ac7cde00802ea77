#include "blkimage/packed_lane.h"

#include <sys/eventfd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <optional>

#include "base/unique_fd.h"

namespace splitring {
namespace {

constexpr uint64_t kBytesPerPoll = uint64_t{256} << 10;  // a fraction of a millisecond
constexpr size_t kPieceBytes = size_t{128} << 10;
constexpr size_t kPieces = 32;
constexpr uint64_t kNone = UINT64_MAX;

// The content in pieces, the last ones used kept. The piece that is being made may take many calls.
class PackedReader {
 public:
  PackedReader(std::shared_ptr<const PackedMap> map, std::unique_ptr<PackedDecoder> decoder)
      : map_(std::move(map)), decoder_(std::move(decoder)) {}

  // Some bytes from `offset` on, zeroes beyond the content; 0: not yet, ask again. Decompresses at
  // most `budget` bytes, and takes them off it. Errors: kBusy: the disk below owes something.
  Result<size_t> read(uint64_t offset, std::span<std::byte> out, uint64_t& budget) {
    if (offset >= map_->unpacked_bytes) {
      std::ranges::fill(out, std::byte{0});
      return out.size();
    }
    const Piece* const piece = TRY(get(offset / kPieceBytes, budget));
    if (piece == nullptr) return size_t{0};
    const uint64_t skipped = offset % kPieceBytes;
    const size_t part = std::min<uint64_t>(out.size(), piece->bytes.size() - skipped);
    std::memcpy(out.data(), piece->bytes.data() + skipped, part);
    return part;
  }

 private:
  struct Piece {
    uint64_t number = kNone;
    uint64_t used = 0;
    std::vector<std::byte> bytes;
  };

  Result<const Piece*> get(uint64_t number, uint64_t& budget) {
    for (Piece& piece : pieces_) {
      if (piece.number != number) continue;
      piece.used = ++clock_;
      return &piece;
    }
    if (making_ != number) begin(number);
    const auto made = make(*made_, budget);
    if (!made && made.error().code != Errc::kBusy) {
      making_ = kNone;
      place_ = kNone;  // nobody knows where the decompressor is
    }
    if (!TRY(made)) return nullptr;
    made_->number = std::exchange(making_, kNone);
    made_->used = ++clock_;
    return made_;
  }

  void begin(uint64_t number) {
    making_ = number;
    made_ = std::ranges::min_element(pieces_, {}, &Piece::used);
    made_->number = kNone;
    made_->bytes.resize(
        std::min<uint64_t>(kPieceBytes, map_->unpacked_bytes - number * kPieceBytes));
    filled_ = 0;
  }

  // True: the piece is whole.
  Result<bool> make(Piece& piece, uint64_t& budget) {
    const uint64_t begin = making_ * kPieceBytes;
    const auto next =
        std::ranges::upper_bound(map_->points, begin + filled_, {}, &PackedPoint::unpacked);
    const auto point = static_cast<size_t>(next - map_->points.begin()) - 1;
    const uint64_t from = map_->points[point].unpacked;
    if (place_ == kNone || place_ > begin + filled_ || place_ < from) {
      place_ = kNone;
      TRY_VOID(decoder_->restart(point));
      place_ = from;
    }
    const std::span<std::byte> whole = piece.bytes;
    while (filled_ < whole.size()) {
      if (budget == 0) return false;
      // What lies before the piece goes into it too, and is overwritten.
      const uint64_t before = begin - std::min(place_, begin);
      const auto out = before != 0 ? whole.first(std::min<uint64_t>(whole.size(), before))
                                   : whole.subspan(filled_);
      const size_t got = TRY(decoder_->next(out.first(std::min<uint64_t>(out.size(), budget))));
      if (got == 0) return fail(Errc::kInvalid, "the content is shorter than was said");
      budget -= got;
      place_ += got;
      if (before == 0) filled_ += got;
    }
    return true;
  }

  const std::shared_ptr<const PackedMap> map_;
  const std::unique_ptr<PackedDecoder> decoder_;
  std::array<Piece, kPieces> pieces_;
  uint64_t clock_ = 0;
  uint64_t place_ = kNone;   // in the content, of what the decompressor gives next
  uint64_t making_ = kNone;  // the number of the piece that is being made
  Piece* made_ = nullptr;    // and where
  size_t filled_ = 0;        // and how much of it is there
};

class PackedQueue final : public BlockQueue {
 public:
  PackedQueue(DeviceState& state, const QueueOptions& options, std::unique_ptr<BlockQueue> below,
              UniqueFd never_readable)
      : BlockQueue(state, SpinWait(options.polling)),
        below_(std::move(below)),
        never_readable_(std::move(never_readable)) {}

  Result<> open(const std::shared_ptr<const PackedMap>& map, int file) {
    if (below_)
      source_ = std::make_unique<LaneSource>(*below_, LaneSource::Waiting::kNever);
    else
      source_ = std::make_unique<FileSource>(file, map->packed_bytes);
    reader_ = std::make_unique<PackedReader>(map, TRY(make_packed_decoder(map, *source_)));
    return {};
  }

  [[nodiscard]] int fd() const override { return below_ ? below_->fd() : never_readable_.get(); }

 private:
  void do_submit(BlockRequest& request) noexcept override {
    request.scratch = {};
    queued_.push(request);
  }
  void do_kick() noexcept override {}
  void do_poll() noexcept override {
    if (below_) below_->poll();
    is_starved_ = false;
    uint64_t budget = kBytesPerPoll;
    // Only those that are there now: their completions may add others without end.
    for (size_t left = in_flight(); left != 0 && !queued_.empty(); left--) {
      const auto status = step(*queued_.front(), budget);
      if (!status) break;
      finish(queued_.pop(), *status);
    }
  }
  bool do_prepare_to_wait() noexcept override {
    if (!queued_.empty() && !is_starved_) return false;
    return !below_ || below_->prepare_to_wait();
  }
  void do_sleep() noexcept override {
    if (is_starved_) sleep_on(*below_);
  }

  // Nothing: there is more to do. scratch[0] of the request is how much of it is done.
  std::optional<IoStatus> step(BlockRequest& request, uint64_t& budget) noexcept {
    if (request.operation != Operation::kRead) return IoStatus::kOk;  // a flush of nothing
    uint64_t begin = 0;  // of the buffer, in the request
    for (const iovec& buffer : request.buffers) {
      uint64_t& done = request.scratch[0];
      while (done < begin + buffer.iov_len) {
        const std::span<std::byte> whole(static_cast<std::byte*>(buffer.iov_base), buffer.iov_len);
        const auto got =
            reader_->read(request.first.bytes() + done, whole.subspan(done - begin), budget);
        is_starved_ = !got && got.error().code == Errc::kBusy;
        if (is_starved_ || (got && *got == 0)) return std::nullopt;
        if (!got) return IoStatus::kIoError;
        done += *got;
      }
      begin += buffer.iov_len;
    }
    return IoStatus::kOk;
  }

  const std::unique_ptr<BlockQueue> below_;
  const UniqueFd never_readable_;
  std::unique_ptr<PackedSource> source_;
  std::unique_ptr<PackedReader> reader_;
  RequestList queued_;
  bool is_starved_ = false;  // the first request waits for the disk below
};

}  // namespace

Result<std::unique_ptr<BlockQueue>> open_packed_lane(DeviceState& state,
                                                     const QueueOptions& options,
                                                     const std::shared_ptr<const PackedMap>& map,
                                                     std::unique_ptr<BlockQueue> below, int file) {
  UniqueFd never_readable;
  if (!below) {
    never_readable.reset(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!never_readable) return fail_errno("eventfd of a lane", errno);
  }
  auto lane =
      std::make_unique<PackedQueue>(state, options, std::move(below), std::move(never_readable));
  TRY_VOID(lane->open(map, file));
  return lane;
}

}  // namespace splitring
