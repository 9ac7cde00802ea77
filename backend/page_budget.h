// How many pages of other domains all devices together may keep mapped (B39). Thread-safe.
#pragma once

#include <atomic>
#include <cstdint>
#include <utility>

namespace splitring::backend {

class PageBudget {
 public:
  explicit PageBudget(uint32_t pages) : left_(pages) {}

  // A part of the budget; gives itself back.
  class Share {
   public:
    Share() = default;
    Share(PageBudget& budget, uint32_t pages) : budget_(&budget), pages_(pages) {}
    Share(Share&& other) noexcept
        : budget_(std::exchange(other.budget_, nullptr)), pages_(std::exchange(other.pages_, 0)) {}
    Share& operator=(Share&& other) noexcept {
      std::swap(budget_, other.budget_);
      std::swap(pages_, other.pages_);
      return *this;
    }
    Share(const Share&) = delete;
    Share& operator=(const Share&) = delete;
    ~Share() {
      if (budget_ != nullptr) budget_->left_.fetch_add(pages_, std::memory_order_relaxed);
    }
    explicit operator bool() const { return budget_ != nullptr; }

   private:
    PageBudget* budget_ = nullptr;
    uint32_t pages_ = 0;
  };

  // Empty if there is not as much left.
  [[nodiscard]] Share take(uint32_t pages) {
    uint32_t left = left_.load(std::memory_order_relaxed);
    do {
      if (left < pages) return {};
    } while (!left_.compare_exchange_weak(left, left - pages, std::memory_order_relaxed));
    return {*this, pages};
  }
  [[nodiscard]] uint32_t left() const { return left_.load(std::memory_order_relaxed); }

 private:
  std::atomic<uint32_t> left_;
};

}  // namespace splitring::backend
