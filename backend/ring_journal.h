// Which requests of a ring were taken and not answered yet, in memory that outlives the process: a
// file, in /run say, that is mapped. Whoever finds it after a kill -9 knows what the ring itself
// does not tell, since answers overwrite the slots of requests (B42), and goes on where it ended.
//
//   byte 0                                   4096           + 128           + 128
//   | magic, token, slots, entry bytes, ABI, consumed ... | entry 0      | entry 1      | ...
//   entry:  | state: 2^63 + number of the request, or 0 | unused | the request as in the ring |
// Requests are numbered from where the ring starts; the lower half of a number is its index there.
//
// A process may end between any two stores, so each step becomes true by one store:
//   taking     the request, its state, then `consumed`: an entry whose number is not below
//              `consumed` was not taken, and is taken from the ring again
//   answering  the answer into the ring, then the state: what is answered but not published yet is
//              `consumed` less the entries that live, so that no counter of answers is needed
// A kill loses no store that was made: only the order matters, and the processor keeps that of one
// thread's stores to ordinary memory (x86; releases elsewhere). A crash of the machine ends the
// guests too.
//
// What is found is checked: another version, ring or disk is refused, an entry that cannot be true
// as well. The file is locked while it is open.
//
// One thread owns a journal. No allocation and no system call once it is open.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

namespace splitring::backend {

// What a journal must agree about with the ring that it is of.
struct JournalShape {
  uint64_t token = 0;  // of one connection of one device: a later one has another
  uint32_t slots = 0;  // 1 to kMaxJournalSlots
  uint32_t abi = 0;
};
// Of a ring of 16 pages.
inline constexpr uint32_t kMaxJournalSlots = 512;
// The longest request of all ABIs.
inline constexpr size_t kJournalRequestBytes = 112;

class RingJournal {
 public:
  // In memory of this process: nothing outlives it.
  static Result<RingJournal> create_unnamed(uint32_t slots);
  // A fresh file in the place of any that is there. kNoSpace: the memory is not there, which would
  // otherwise show when it is written to.
  static Result<RingJournal> create(const std::filesystem::path& path, const JournalShape& shape);
  // As another process has left it. kBusy: that has not gone yet. kInvalid: it is not of that shape
  // or cannot be true.
  static Result<RingJournal> open(const std::filesystem::path& path, const JournalShape& shape);

  // Some process has it open: the one that is to be followed has not gone yet.
  static bool in_use(const std::filesystem::path& path);

  RingJournal(RingJournal&& other) noexcept;
  RingJournal& operator=(RingJournal&&) = delete;
  RingJournal(const RingJournal&) = delete;
  RingJournal& operator=(const RingJournal&) = delete;
  ~RingJournal();

  // Before the first request: where the ring starts, 0 unless it is said.
  void start_at(uint32_t ring_index);
  // The next request goes by `slot` until answered(slot). Precondition: the slot is free.
  void taken(uint32_t slot, std::span<const std::byte> request);
  // Its answer stands in the ring, published or not.
  void answered(uint32_t slot);

  [[nodiscard]] uint32_t slots() const { return slots_; }
  // The ring's index of the next request to take.
  [[nodiscard]] uint32_t consumed_index() const;
  // Slots taken and not answered, in the order of the ring.
  [[nodiscard]] std::vector<uint32_t> unanswered() const;
  [[nodiscard]] std::span<const std::byte> request(uint32_t slot) const;

 private:
  struct Header;
  struct Entry;

  RingJournal(UniqueFd fd, std::filesystem::path path, void* memory, uint32_t slots);
  static Result<RingJournal> map(UniqueFd fd, const std::filesystem::path& path, uint32_t slots);
  [[nodiscard]] Result<> check(const JournalShape& shape) const;
  [[nodiscard]] Header& header() const;
  [[nodiscard]] Entry& entry(uint32_t slot) const;

  UniqueFd fd_;  // none: unnamed
  std::filesystem::path path_;
  void* memory_;
  uint32_t slots_;
};

}  // namespace splitring::backend
