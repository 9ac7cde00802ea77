// One slot, judged by the parser and by the oracle.
#pragma once

#include <span>
#include <string>

#include "ring/blkif_request.h"
#include "tests/support/ring/validator_oracle.h"

namespace splitring {

template <class Wire>
class ValidatorComparison {
 public:
  // True if both agree.
  bool judge(const typename Wire::Request& slot, const blkif::DiskLimits& disk) {
    refusal_ = blkif::check_request<Wire>(slot, disk, request_);
    oracle::judge(kLayout, bytes_of(slot), disk, opinion_);
    return oracle::agrees(opinion_, refusal_, request_);
  }
  [[nodiscard]] std::string describe(const typename Wire::Request& slot) const {
    return oracle::describe(bytes_of(slot), opinion_, refusal_);
  }

  // Of the last slot judged.
  [[nodiscard]] blkif::Refusal refusal() const { return refusal_; }
  [[nodiscard]] blkif::CheckedRequest& request() { return request_; }

 private:
  static constexpr oracle::SlotLayout kLayout =
      sizeof(typename Wire::Request) == oracle::slot_bytes(oracle::SlotLayout::k64)
          ? oracle::SlotLayout::k64
          : oracle::SlotLayout::k32;

  static std::span<const std::byte> bytes_of(const typename Wire::Request& slot) {
    return std::as_bytes(std::span(&slot, 1));
  }

  blkif::Refusal refusal_ = blkif::Refusal::kNone;
  blkif::CheckedRequest request_{};
  oracle::Opinion opinion_{};
};

}  // namespace splitring
