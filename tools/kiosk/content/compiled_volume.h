// A directory that was compiled into the program, as a volume: the site that is there when no disk
// is.
#pragma once

#include "kv/compiled_store.h"
#include "tools/kiosk/content/volume.h"

namespace splitring::kiosk {

class CompiledVolume final : public Volume {
 public:
  // Errors: kInvalid: not made by this version of splitring crunch.
  static Result<std::shared_ptr<const CompiledVolume>> open(std::string name,
                                                            const unsigned char* image);

  [[nodiscard]] std::string name() const override { return name_; }
  Result<std::unique_ptr<Mount>> mount(std::shared_ptr<const Volume> self, http::Loop& loop,
                                       http::WorkerMetrics& metrics) const override;

 private:
  CompiledVolume(std::string name, const unsigned char* image)
      : name_(std::move(name)), image_(image) {}

  const std::string name_;
  const unsigned char* const image_;
};

}  // namespace splitring::kiosk
