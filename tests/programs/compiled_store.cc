// Prints what a compiled-in directory holds, one JSON object a line: of a shared library made from
// the output of `splitring crunch`.  Usage: compiled_store LIBRARY VARIABLE
#include <dlfcn.h>

#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "kv/compiled_store.h"

namespace {

using namespace splitring;

std::string hex(std::string_view bytes) {
  std::string text;
  for (const char c : bytes) {
    char digits[3];
    std::snprintf(digits, sizeof(digits), "%02x", static_cast<unsigned char>(c));
    text += digits;
  }
  return text;
}

Result<> print(const unsigned char* image) {
  const auto store = TRY(kv::CompiledStore::load(image));
  Result<> failed;
  TRY_VOID(store->iter("", [&](const std::string& key, const kv::Entry& entry) {
    const auto bytes = store->get(key);
    const auto digest = store->digest(key);
    if (!bytes || !digest) failed = fail(Errc::kIo, "reading " + kv::printable_key(key));
    if (!failed) return false;
    nlohmann::json line = {{"key", hex(key)},
                           {"bytes", hex(*bytes)},
                           {"digest", kv::to_hex(*digest)},
                           {"modified", nullptr}};
    if (entry.modified_s) line["modified"] = *entry.modified_s;
    std::printf("%s\n", line.dump().c_str());
    return true;
  }));
  return failed;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  void* const library = ::dlopen(argv[1], RTLD_NOW);
  const void* const image = library != nullptr ? ::dlsym(library, argv[2]) : nullptr;
  if (image == nullptr) {
    std::fprintf(stderr, "%s\n", ::dlerror());
    return 1;
  }
  const auto done = print(static_cast<const unsigned char*>(image));
  if (!done) std::fprintf(stderr, "%s\n", done.error().what.c_str());
  return done ? 0 : 1;
}
