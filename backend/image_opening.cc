#include "backend/image_opening.h"

#include <cassert>
#include <optional>
#include <utility>

#include "backend/change_notice.h"
#include "backend/image_policy.h"
#include "backend/make_thread.h"

namespace splitring::backend {

struct ImageOpening::Shared {
  Shared(Order asked, int changed_fd) : order(std::move(asked)), notice(changed_fd) {}

  Result<std::unique_ptr<BlockDevice>> open() const {
    TRY_VOID(check_image_policy(order.target, order.allowed_roots));
    return order.schemes.open(order.target, order.options);
  }

  const Order order;
  ChangeNotice notice;
  std::optional<Result<std::unique_ptr<BlockDevice>>> result;  // written before `done`
  std::atomic<bool> done{false};
};

ImageOpening::ImageOpening(std::shared_ptr<Shared> shared) : shared_(std::move(shared)) {}

Result<std::unique_ptr<ImageOpening>> ImageOpening::start(Order order, int changed_fd) {
  auto shared = std::make_shared<Shared>(std::move(order), changed_fd);
  std::unique_ptr<ImageOpening> opening(new ImageOpening(shared));
  opening->thread_ = TRY(make_thread([shared] {
    shared->result = shared->open();
    shared->done.store(true, std::memory_order_release);
    shared->notice.give();
  }));
  return opening;
}

ImageOpening::~ImageOpening() {
  if (!thread_.joinable()) return;
  if (done()) {
    thread_.join();
  } else {
    shared_->notice.silence();
    thread_.detach();
  }
}

bool ImageOpening::is_of(const std::string& target, bool read_only) const {
  return shared_->order.target == target && shared_->order.options.read_only == read_only;
}

bool ImageOpening::done() const { return shared_->done.load(std::memory_order_acquire); }

Result<std::unique_ptr<BlockDevice>> ImageOpening::take() {
  assert(done() && shared_->result);
  return *std::exchange(shared_->result, std::nullopt);
}

}  // namespace splitring::backend
