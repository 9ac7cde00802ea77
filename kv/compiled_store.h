// A directory that was compiled into the program, as a store: what `splitring crunch` made of it.
//
//   extern "C" const unsigned char site[];                  // of site.cc or site.o
//   auto store = TRY(kv::CompiledStore::load(site));
//
// Its values are memory: read and sent as they are, without a copy. Stores over one image may be
// used by different threads.
#pragma once

#include <memory>
#include <span>

#include "kv/compiled_image.h"
#include "kv/read_store.h"

namespace splitring::kv {

class CompiledStore final : public ReadStore {
 public:
  // Linked into the program and so trusted to be as long as it says; everything else is checked.
  // The image outlives the store. Errors: kInvalid: not made by this version of crunch.
  static Result<std::unique_ptr<CompiledStore>> load(const unsigned char* image);
  // The same with its length known.
  static Result<std::unique_ptr<CompiledStore>> load(std::span<const std::byte> image);

 private:
  CompiledStore(std::span<const std::byte> image, std::span<const ImageEntry> entries)
      : image_(image), entries_(entries) {}

  Result<> check() const;
  [[nodiscard]] std::string_view key_of(const ImageEntry& entry) const;
  [[nodiscard]] const ImageEntry* lookup(std::string_view key) const;
  [[nodiscard]] static Entry describe(const ImageEntry& entry);

  Result<std::optional<Entry>> do_find(const std::string& key) override;
  Result<std::vector<Child>> do_list(const std::string& key) override;
  Result<std::unique_ptr<Value>> do_open(const std::string& key) override;
  std::optional<Digest> known_digest(const std::string& key) override;

  std::span<const std::byte> image_;
  std::span<const ImageEntry> entries_;
};

}  // namespace splitring::kv
