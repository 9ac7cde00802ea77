// The two forms in which a compiled directory (kv/compiled_image.h) goes into a program, as the
// bytes of one `extern "C" const unsigned char NAME[]`:
//
//   C++ source  for any compiler; its text shows what text is in it. g++ 12 needs about a second
//               for 10 MB.
//   ELF object  for this machine's linker, written directly: no assembler or compiler runs, so
//               100 MB take as long as reading and writing them. The image has no addresses in it,
//               so neither has the object relocations.
//
// Equal trees make equal bytes.
#pragma once

#include <string>

#include "base/result.h"
#include "kv/compiled_image.h"
#include "tools/splitring/crunch_tree.h"

namespace splitring::tools {

// Takes bytes in order.
using CrunchSink = CrunchTree::Sink;

// Whether a C++ variable can be called that (keywords apart).
[[nodiscard]] bool is_identifier(const std::string& name);

Result<> write_source(const CrunchTree& tree, const kv::CompiledLayout& layout,
                      const std::string& name, const CrunchSink& sink);
Result<> write_object(const CrunchTree& tree, const kv::CompiledLayout& layout,
                      const std::string& name, const CrunchSink& sink);

}  // namespace splitring::tools
