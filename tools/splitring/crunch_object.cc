// A compiled directory as an ELF object with one symbol. Format: the System V gABI, "Object Files";
// elf(5).
#include <elf.h>

#include <array>
#include <bit>

#include "base/units.h"
#include "tools/splitring/crunch_output.h"

namespace splitring::tools {
namespace {

static_assert(sizeof(void*) == 8 && std::endian::native == std::endian::little);
#if defined(__x86_64__)
constexpr Elf64_Half kMachine = EM_X86_64;
#elif defined(__aarch64__)
constexpr Elf64_Half kMachine = EM_AARCH64;
#else
#error "name this machine's ELF number here (elf.h, EM_*)"
#endif

constexpr uint64_t kDataAlignment = 64;
constexpr char kNameBytes[] = "\0.rodata\0.symtab\0.strtab\0.shstrtab\0.note.GNU-stack";
constexpr std::string_view kSectionNames(kNameBytes, sizeof kNameBytes);  // the last NUL too
enum Section : Elf64_Half { kNone, kData, kSymbols, kStrings, kNames, kStack, kSections };

Elf64_Word name_of(std::string_view section) {
  return static_cast<Elf64_Word>(kSectionNames.find(section));
}

// Where each part lies in the file.
struct Plan {
  uint64_t data_at = round_up(sizeof(Elf64_Ehdr), kDataAlignment);
  uint64_t symbols_at = 0;
  uint64_t strings_at = 0;
  uint64_t names_at = 0;
  uint64_t sections_at = 0;
};

Plan plan_for(uint64_t data_bytes, uint64_t string_bytes) {
  Plan plan;
  plan.symbols_at = round_up(plan.data_at + data_bytes, alignof(Elf64_Sym));
  plan.strings_at = plan.symbols_at + 2 * sizeof(Elf64_Sym);
  plan.names_at = plan.strings_at + string_bytes;
  plan.sections_at = round_up(plan.names_at + kSectionNames.size(), alignof(Elf64_Shdr));
  return plan;
}

Elf64_Ehdr file_header(const Plan& plan) {
  Elf64_Ehdr header{};
  header.e_ident[EI_MAG0] = ELFMAG0;
  header.e_ident[EI_MAG1] = ELFMAG1;
  header.e_ident[EI_MAG2] = ELFMAG2;
  header.e_ident[EI_MAG3] = ELFMAG3;
  header.e_ident[EI_CLASS] = ELFCLASS64;
  header.e_ident[EI_DATA] = ELFDATA2LSB;
  header.e_ident[EI_VERSION] = EV_CURRENT;
  header.e_type = ET_REL;
  header.e_machine = kMachine;
  header.e_version = EV_CURRENT;
  header.e_shoff = plan.sections_at;
  header.e_ehsize = sizeof(Elf64_Ehdr);
  header.e_shentsize = sizeof(Elf64_Shdr);
  header.e_shnum = kSections;
  header.e_shstrndx = kNames;
  return header;
}

Elf64_Shdr section(std::string_view name, Elf64_Word type, uint64_t at, uint64_t bytes,
                   uint64_t alignment) {
  Elf64_Shdr header{};
  header.sh_name = name_of(name);
  header.sh_type = type;
  header.sh_offset = at;
  header.sh_size = bytes;
  header.sh_addralign = alignment;
  return header;
}

std::array<Elf64_Shdr, kSections> section_headers(const Plan& plan, uint64_t data_bytes,
                                                  uint64_t string_bytes) {
  std::array<Elf64_Shdr, kSections> headers{};
  headers[kData] = section(".rodata", SHT_PROGBITS, plan.data_at, data_bytes, kDataAlignment);
  headers[kData].sh_flags = SHF_ALLOC;
  headers[kSymbols] =
      section(".symtab", SHT_SYMTAB, plan.symbols_at, 2 * sizeof(Elf64_Sym), alignof(Elf64_Sym));
  headers[kSymbols].sh_link = kStrings;
  headers[kSymbols].sh_info = 1;  // the first that is global
  headers[kSymbols].sh_entsize = sizeof(Elf64_Sym);
  headers[kStrings] = section(".strtab", SHT_STRTAB, plan.strings_at, string_bytes, 1);
  headers[kNames] = section(".shstrtab", SHT_STRTAB, plan.names_at, kSectionNames.size(), 1);
  // Its absence would make the program's stack executable.
  headers[kStack] = section(".note.GNU-stack", SHT_PROGBITS, plan.sections_at, 0, 1);
  return headers;
}

// Pads with zeroes up to where the next part belongs.
class ObjectWriter {
 public:
  explicit ObjectWriter(const CrunchSink& sink) : sink_(sink) {}

  Result<> pad_to(uint64_t at) {
    const std::string zeroes(at - at_, '\0');
    return write(std::as_bytes(std::span(zeroes)));
  }
  Result<> write(std::span<const std::byte> bytes) {
    at_ += bytes.size();
    if (bytes.empty()) return {};
    return sink_(bytes);
  }
  template <class T>
  Result<> write_at(uint64_t at, const T& part) {
    TRY_VOID(pad_to(at));
    return write(std::as_bytes(std::span(part)));
  }

 private:
  const CrunchSink& sink_;
  uint64_t at_ = 0;
};

}  // namespace

Result<> write_object(const CrunchTree& tree, const kv::CompiledLayout& layout,
                      const std::string& name, const CrunchSink& sink) {
  const std::string strings = std::string(1, '\0') + name + '\0';
  const Plan plan = plan_for(layout.image_bytes, strings.size());
  ObjectWriter out(sink);
  TRY_VOID(out.write_at(0, std::array{file_header(plan)}));
  TRY_VOID(out.write_at(plan.data_at, layout.front));
  for (const auto& content : layout.contents) {
    TRY_VOID(out.pad_to(plan.data_at + content.at));
    TRY_VOID(tree.read(layout.members[content.member],
                       [&](std::span<const std::byte> bytes) { return out.write(bytes); }));
  }
  std::array<Elf64_Sym, 2> symbols{};
  symbols[1].st_name = 1;
  symbols[1].st_info = ELF64_ST_INFO(STB_GLOBAL, STT_OBJECT);
  symbols[1].st_shndx = kData;
  symbols[1].st_size = layout.image_bytes;
  TRY_VOID(out.write_at(plan.symbols_at, symbols));
  TRY_VOID(out.write_at(plan.strings_at, strings));
  TRY_VOID(out.write_at(plan.names_at, kSectionNames));
  return out.write_at(plan.sections_at, section_headers(plan, layout.image_bytes, strings.size()));
}

}  // namespace splitring::tools
