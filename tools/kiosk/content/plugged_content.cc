#include "tools/kiosk/content/plugged_content.h"

#include <spdlog/spdlog.h>

#include "kv/tar_store.h"
#include "tools/kiosk/http/content_type.h"

namespace splitring::kiosk {
namespace {

// Names go on while somebody looks them up, whatever is plugged meanwhile.
class NamesOfVolume final : public kv::ReadStore {
 public:
  explicit NamesOfVolume(std::shared_ptr<const TarVolume> volume)
      : volume_(std::move(volume)), store_(volume_->tar()) {}

 private:
  Result<std::optional<kv::Entry>> do_find(const std::string& key) override {
    return store_.find(key);
  }
  Result<std::vector<kv::Child>> do_list(const std::string& key) override {
    return store_.list(key);
  }
  Result<std::unique_ptr<kv::Value>> do_open(const std::string& key) override {
    return store_.open(key);
  }

  std::shared_ptr<const TarVolume> volume_;
  kv::TarStore store_;
};

void report_warnings(const TarFileSystem& tar) {
  for (const std::string& warning : tar.warnings()) spdlog::warn("{}", warning);
  if (tar.warning_count() > tar.warnings().size())
    spdlog::warn("and {} more like these", tar.warning_count() - tar.warnings().size());
}

// The lane goes before the threads open theirs: a disk may have one only.
Result<TemplateSet> read_templates(const TarVolume& volume) {
  const auto lane = TRY(volume.disk().open_queue({}));
  kv::TarStore store(volume.tar(), *lane);
  return TemplateSet::read(store);
}

}  // namespace

void PluggedContent::plugged(const std::shared_ptr<BlockDevice>& disk) {
  auto volume = TarVolume::open(disk);
  if (!volume) return put(nullptr, nullptr, std::move(volume).error());
  report_warnings((*volume)->tar());
  auto templates = read_templates(**volume);
  if (!templates) return put(nullptr, nullptr, std::move(templates).error());
  for (const std::string& warning : templates->warnings()) spdlog::warn("{}", warning);
  put(std::move(*volume), std::make_shared<const TemplateSet>(std::move(*templates)), {});
}

void PluggedContent::unplugged() { put(nullptr, nullptr, {}); }

void PluggedContent::put(std::shared_ptr<const TarVolume> volume,
                         std::shared_ptr<const TemplateSet> templates,
                         std::optional<Error> problem) {
  const auto now = volume;
  {
    // What was there goes after the lock: it may be the last to hold a disk.
    const std::lock_guard lock(mutex_);
    volume_.swap(volume);
    templates_.swap(templates);
    problem_ = std::move(problem);
  }
  slot_.put(now);  // last: whoever sees its generation change sees the rest
}

std::shared_ptr<const TarVolume> PluggedContent::volume() const {
  const std::lock_guard lock(mutex_);
  return volume_;
}

std::shared_ptr<const TemplateSet> PluggedContent::templates() const {
  const std::lock_guard lock(mutex_);
  return templates_;
}

std::unique_ptr<kv::ReadStore> PluggedContent::names() const {
  auto held = volume();
  if (!held) return nullptr;
  return std::make_unique<NamesOfVolume>(std::move(held));
}

std::optional<Error> PluggedContent::problem() const {
  const std::lock_guard lock(mutex_);
  return problem_;
}

bool TemplateSource::serve(const http::Request& request, http::Exchange& exchange) {
  if (const uint64_t generation = content_.slot().generation(); generation != generation_) {
    templates_ = content_.templates();
    generation_ = generation;
  }
  const auto page = templates_ ? templates_->find(request.path) : std::nullopt;
  if (!page) return false;
  auto text = templates_->render(*page, context_(request.path));
  if (text)
    exchange.send(http::fresh_page(http::content_type(*page), std::move(*text)));
  else
    exchange.send(http::status_page(500, text.error().what));
  return true;
}

}  // namespace splitring::kiosk
