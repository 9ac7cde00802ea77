// How many pages of other domains all devices together may keep mapped (B39). Thread-safe.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <utility>

namespace splitring::backend {

class PageBudget {
 public:
  explicit PageBudget(uint32_t pages) : left_(std::make_shared<std::atomic<uint32_t>>(pages)) {}

  // A part of the budget; gives itself back. May outlive the budget.
  class Share {
   public:
    Share() = default;
    Share(Share&& other) noexcept
        : left_(std::move(other.left_)), pages_(std::exchange(other.pages_, 0)) {}
    Share& operator=(Share&& other) noexcept {
      std::swap(left_, other.left_);
      std::swap(pages_, other.pages_);
      return *this;
    }
    Share(const Share&) = delete;
    Share& operator=(const Share&) = delete;
    ~Share() {
      if (left_) left_->fetch_add(pages_, std::memory_order_relaxed);
    }
    explicit operator bool() const { return left_ != nullptr; }

   private:
    friend class PageBudget;
    Share(std::shared_ptr<std::atomic<uint32_t>> left, uint32_t pages)
        : left_(std::move(left)), pages_(pages) {}

    std::shared_ptr<std::atomic<uint32_t>> left_;
    uint32_t pages_ = 0;
  };

  // Empty if there is not as much left.
  [[nodiscard]] Share take(uint32_t pages) {
    uint32_t left = left_->load(std::memory_order_relaxed);
    do {
      if (left < pages) return {};
    } while (!left_->compare_exchange_weak(left, left - pages, std::memory_order_relaxed));
    return {left_, pages};
  }
  [[nodiscard]] uint32_t left() const { return left_->load(std::memory_order_relaxed); }

 private:
  std::shared_ptr<std::atomic<uint32_t>> left_;
};

}  // namespace splitring::backend
