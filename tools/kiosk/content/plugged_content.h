// The content of the moment: what is on the disk that is called `content`, for as long as it is
// plugged. Another archive under that name replaces it while the site is served.
//
// plugged() and unplugged() are called by one thread at a time, all else by any.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "blkimage/block_device.h"
#include "tools/kiosk/content/tar_volume.h"
#include "tools/kiosk/content/volume.h"
#include "tools/kiosk/http/source.h"
#include "tools/kiosk/observe/templates.h"

namespace splitring::kiosk {

class PluggedContent {
 public:
  // Reads the archive's index and its templates. What is no archive leaves no content;
  // problem() says why.
  void plugged(const std::shared_ptr<BlockDevice>& disk);
  void unplugged();

  [[nodiscard]] const VolumeSlot& slot() const { return slot_; }
  // Null: there is no content.
  [[nodiscard]] std::shared_ptr<const TarVolume> volume() const;
  [[nodiscard]] std::shared_ptr<const TemplateSet> templates() const;
  // To look up names in; null without content.
  [[nodiscard]] std::unique_ptr<kv::ReadStore> names() const;
  // Why what is plugged is no content.
  [[nodiscard]] std::optional<Error> problem() const;

 private:
  void put(std::shared_ptr<const TarVolume> volume, std::shared_ptr<const TemplateSet> templates,
           std::optional<Error> problem);

  VolumeSlot slot_;
  mutable std::mutex mutex_;
  std::shared_ptr<const TarVolume> volume_;
  std::shared_ptr<const TemplateSet> templates_;
  std::optional<Error> problem_;
};

// Answers with the templates of the content of the moment.
class TemplateSource final : public http::Source {
 public:
  using Context = std::function<TemplateContext(std::string_view path)>;
  // Both outlive the source.
  TemplateSource(const PluggedContent& content, const Context& context)
      : content_(content), context_(context) {}
  bool serve(const http::Request& request, http::Exchange& exchange) override;

 private:
  const PluggedContent& content_;
  const Context& context_;
  uint64_t generation_ = UINT64_MAX;  // of the content that templates_ is of
  std::shared_ptr<const TemplateSet> templates_;
};

}  // namespace splitring::kiosk
