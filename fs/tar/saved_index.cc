#include "fs/tar/saved_index.h"

#include <array>
#include <bit>
#include <cstring>

#include "base/units.h"
#include "blkimage/file_bytes.h"
#include "fs/tar/tar_index.h"

namespace splitring {
namespace {

// The last byte is the format's version.
constexpr std::array<char, 8> kMagic = {'S', 'P', 'L', 'R', 'T', 'A', 'R', 1};
constexpr uint64_t kSectionAlignment = 64;  // of TarRecord and below
constexpr uint64_t kMaxNotesBytes = uint64_t{1} << 20;

struct SavedHeader {
  std::array<char, 8> magic;
  uint64_t byte_order;  // kByteOrder, as this machine writes it
  ImageIdentity image;
  uint64_t disk_bytes;
  uint64_t file_count;
  uint64_t file_bytes;
  uint64_t end_offset;
  uint64_t end_cause;
  uint64_t note_count;
  uint64_t notes_bytes;
  uint64_t records;
  uint64_t cells;
  uint64_t extents;
  uint64_t names;
  std::array<uint64_t, 2> hash_keys;
  uint64_t checksum;  // of header, digests and notes, this field being zero
};
constexpr uint64_t kByteOrder = 0x0102030405060708;
static_assert(sizeof(SavedHeader) == 8 * 21, "without gaps");
static_assert(sizeof(TarExtent) == 24 && sizeof(TarCell) == 8, "without gaps");

// Where the sections lie in the pages, by their counts. Precondition: counts within limits.
struct Layout {
  uint64_t cells_at, extents_at, names_at, bytes;

  explicit Layout(const SavedHeader& header)
      : cells_at(round_up(header.records * sizeof(TarRecord), kSectionAlignment)),
        extents_at(cells_at + round_up(header.cells * sizeof(TarCell), kSectionAlignment)),
        names_at(extents_at + round_up(header.extents * sizeof(TarExtent), kSectionAlignment)),
        bytes(names_at + header.names) {}

  [[nodiscard]] uint64_t front_bytes(const SavedHeader& header) const {
    return sizeof header + SavedTarPages::chunks_of(bytes) * sizeof(uint64_t) + header.notes_bytes;
  }
  [[nodiscard]] uint64_t pages_at(const SavedHeader& header) const {
    return round_up(front_bytes(header), kPageSize);
  }
};

template <class T>
std::span<const std::byte> bytes_of(const T& value) {
  return std::as_bytes(std::span(&value, 1));
}

uint64_t checksum_of(std::vector<std::byte> front) {
  std::memset(front.data() + offsetof(SavedHeader, checksum), 0, sizeof(uint64_t));
  return saved_digest(front);
}

void append(std::vector<std::byte>& to, std::span<const std::byte> bytes) {
  to.insert(to.end(), bytes.begin(), bytes.end());
}

std::string join(const std::vector<std::string>& notes) {
  std::string text;
  for (const std::string& note : notes) text.append(note).append("\n");
  return text;
}

std::vector<std::string> split(std::string_view text) {
  std::vector<std::string> notes;
  while (!text.empty() && notes.size() < TarNotes::kKept) {
    const size_t end = std::min(text.find('\n'), text.size());
    notes.emplace_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return notes;
}

// The sections as they will lie in the file.
std::vector<std::byte> make_body(const SavedHeader& header, const TarTable::Parts& parts) {
  const Layout layout(header);
  std::vector<std::byte> body(layout.bytes);
  const auto place = [&](uint64_t at, std::span<const std::byte> bytes) {
    if (!bytes.empty()) std::memcpy(body.data() + at, bytes.data(), bytes.size());
  };
  place(0, std::as_bytes(parts.records));
  place(layout.cells_at, std::as_bytes(parts.cells));
  place(layout.extents_at, std::as_bytes(parts.extents));
  place(layout.names_at, std::as_bytes(parts.names));
  return body;
}

bool counts_are_sane(const SavedHeader& header) {
  const TarLimits limits;
  return header.records >= 1 && header.records <= uint64_t{limits.entries} + 1 &&
         header.cells <= uint64_t{4} * limits.entries && std::has_single_bit(header.cells) &&
         header.extents <= limits.extents && header.names <= limits.name_bytes &&
         header.notes_bytes <= kMaxNotesBytes &&
         header.end_cause <= static_cast<uint64_t>(TarEnd::Cause::kDamage) &&
         header.file_count < header.records;
}

}  // namespace

std::string saved_index_path(const std::string& image_path) { return image_path + ".index"; }

Result<> save_tar_index(const std::string& path, const ImageIdentity& image,
                        const TarTable::Parts& parts, const TarSummary& summary) {
  const std::string notes = join(summary.notes.kept());
  const SavedHeader header{.magic = kMagic,
                           .byte_order = kByteOrder,
                           .image = image,
                           .disk_bytes = summary.disk_bytes,
                           .file_count = summary.file_count,
                           .file_bytes = summary.file_bytes,
                           .end_offset = summary.end.offset,
                           .end_cause = static_cast<uint64_t>(summary.end.cause),
                           .note_count = summary.notes.total(),
                           .notes_bytes = notes.size(),
                           .records = parts.records.size(),
                           .cells = parts.cells.size(),
                           .extents = parts.extents.size(),
                           .names = parts.names.size(),
                           .hash_keys = {parts.hash.first_key(), parts.hash.second_key()},
                           .checksum = 0};
  const std::vector<std::byte> body = make_body(header, parts);
  std::vector<std::byte> front;
  append(front, bytes_of(header));
  for (size_t at = 0; at < body.size(); at += SavedTarPages::kChunkBytes) {
    const size_t bytes = std::min(SavedTarPages::kChunkBytes, body.size() - at);
    append(front, bytes_of(saved_digest(std::span(body).subspan(at, bytes))));
  }
  append(front, std::as_bytes(std::span(notes)));
  const uint64_t checksum = checksum_of(front);
  std::memcpy(front.data() + offsetof(SavedHeader, checksum), &checksum, sizeof checksum);
  return replace_saved_file(path, front, Layout(header).pages_at(header), body);
}

namespace {

// Header, digests and notes, checked.
struct Front {
  SavedHeader header;
  std::vector<uint64_t> digests;
  std::string notes;
};

Result<Front> read_front(int fd, uint64_t file_bytes, const ImageIdentity& image,
                         uint64_t disk_bytes) {
  Front front{};
  SavedHeader& header = front.header;
  TRY_VOID(read_file_bytes(fd, 0, std::as_writable_bytes(std::span(&header, 1))));
  if (header.magic != kMagic || header.byte_order != kByteOrder)
    return fail(Errc::kInvalid, "no saved index of this version and machine");
  if (!counts_are_sane(header)) return fail(Errc::kInvalid, "damaged");
  const Layout layout(header);
  if (file_bytes != layout.pages_at(header) + layout.bytes)
    return fail(Errc::kInvalid, "damaged: of a wrong length");
  std::vector<std::byte> bytes(layout.front_bytes(header));
  TRY_VOID(read_file_bytes(fd, 0, bytes));
  // Read twice: what was checked must be what the checksum covers.
  if (std::memcmp(bytes.data(), &header, sizeof header) != 0 ||
      checksum_of(bytes) != header.checksum)
    return fail(Errc::kInvalid, "damaged: a wrong checksum");
  if (header.image != image || header.disk_bytes != disk_bytes)
    return fail(Errc::kConflict, "of another image, or of this one before it changed");
  front.digests.resize(SavedTarPages::chunks_of(layout.bytes));
  const size_t digest_bytes = front.digests.size() * sizeof(uint64_t);
  std::memcpy(front.digests.data(), bytes.data() + sizeof header, digest_bytes);
  front.notes.assign(reinterpret_cast<const char*>(bytes.data()) + sizeof header + digest_bytes,
                     header.notes_bytes);
  return front;
}

template <class T>
std::span<const T> section(const SavedTarPages& pages, uint64_t at, uint64_t count) {
  return {reinterpret_cast<const T*>(pages.bytes().data() + at), count};
}

}  // namespace

Result<SavedTarIndex> open_saved_tar_index(const std::string& path, const ImageIdentity& image,
                                           uint64_t disk_bytes) {
  SavedFile file = TRY(open_saved_file(path));
  auto read = read_front(file.file.get(), file.bytes, image, disk_bytes);
  if (!read) return fail_within(path, std::move(read).error());
  Front& front = *read;
  const SavedHeader& header = front.header;
  const Layout layout(header);
  SavedTarIndex saved;
  saved.pages = TRY(SavedTarPages::create(std::move(file.file), layout.pages_at(header),
                                          layout.bytes, std::move(front.digests)));
  saved.table =
      TarTable({.records = section<TarRecord>(*saved.pages, 0, header.records),
                .names = section<char>(*saved.pages, layout.names_at, header.names),
                .cells = section<TarCell>(*saved.pages, layout.cells_at, header.cells),
                .extents = section<TarExtent>(*saved.pages, layout.extents_at, header.extents),
                .hash = NameHash(header.hash_keys[0], header.hash_keys[1]),
                .pages = saved.pages.get()});
  saved.summary = {.disk_bytes = disk_bytes,
                   .file_count = header.file_count,
                   .file_bytes = header.file_bytes,
                   .end = {header.end_offset, static_cast<TarEnd::Cause>(header.end_cause)},
                   .notes = TarNotes(split(front.notes), header.note_count)};
  return saved;
}

}  // namespace splitring
