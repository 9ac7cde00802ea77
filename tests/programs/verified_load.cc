// Random reads and writes on a frontend disk, each byte checked, until SIGTERM: what kill tests
// run.
//
//   verified_load HOST_DIRECTORY DOMAIN DEVICE_NUMBER SEED
// Prints "progress N" after every 64 requests. At SIGTERM it finishes what is in flight, reads
// everything it has written once more, prints "verified N blocks" and exits with 0. Anything wrong:
// a line that says what, and 1.
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <random>
#include <vector>

#include "base/parse.h"
#include "frontend/disk.h"
#include "xenbus/host.h"

namespace splitring {
namespace {

constexpr uint64_t kBlockSectors = 8;
constexpr size_t kBlockBytes = kBlockSectors * kSectorSize;
constexpr size_t kDepth = 16;
constexpr uint64_t kMaxBlocks = 4096;
constexpr uint64_t kProgressEvery = 64;

std::sig_atomic_t volatile stop_asked = 0;

struct Load;

struct Request : BlockRequest {
  Load* load = nullptr;
  uint64_t block = 0;
  uint64_t version = 0;
  iovec buffer{};
  std::vector<uint64_t> words = std::vector<uint64_t>(kBlockBytes / 8);
};

// What a block holds is a function of who wrote it, where, and the how-manieth time.
void fill(std::vector<uint64_t>& words, uint64_t seed, uint64_t block, uint64_t version) {
  uint64_t state = seed * 0x9E3779B97F4A7C15 + block * 0xBF58476D1CE4E5B9 + version;
  for (uint64_t& word : words) {
    state = state * 6364136223846793005 + 1442695040888963407;
    word = state;
  }
}

struct Load {
  Load(BlockQueue& queue, uint64_t seed_of)
      : lane(queue),
        seed(seed_of),
        random(seed_of),
        blocks(std::min(kMaxBlocks, queue.geometry().capacity.count / kBlockSectors)),
        versions(blocks),
        busy(blocks) {}

  void start(Request& request) {
    do request.block = random() % blocks;
    while (busy[request.block]);
    busy[request.block] = true;
    const bool known = versions[request.block] != 0;
    request.operation = known && random() % 2 == 0 ? Operation::kRead : Operation::kWrite;
    request.first = {request.block * kBlockSectors};
    request.version = versions[request.block];
    if (request.operation == Operation::kWrite) {
      request.version++;
      fill(request.words, seed, request.block, request.version);
    } else {
      std::fill(request.words.begin(), request.words.end(), 0);
    }
    request.buffer = {request.words.data(), kBlockBytes};
    request.buffers = std::span(&request.buffer, 1);
    request.load = this;
    request.complete = [](BlockRequest& finished) noexcept {
      auto& mine = static_cast<Request&>(finished);
      mine.load->finish(mine);
    };
    lane.submit(request);
  }

  void finish(Request& request) noexcept {
    if (request.status != IoStatus::kOk) wrong(request, to_string(request.status));
    if (request.operation == Operation::kWrite)
      versions[request.block] = request.version;
    else
      check(request);
    busy[request.block] = false;
    if (++done % kProgressEvery == 0) {
      std::printf("progress %llu\n", static_cast<unsigned long long>(done));
      std::fflush(stdout);
    }
    if (stop_asked == 0) start(request);
  }

  void check(const Request& request) const noexcept {
    std::vector<uint64_t> expected(request.words.size());
    fill(expected, seed, request.block, request.version);
    if (expected != request.words) wrong(request, "not what was written there last");
  }

  [[noreturn]] static void wrong(const Request& request, const char* what) {
    std::printf("WRONG: %s of block %llu, version %llu: %s\n", to_string(request.operation),
                static_cast<unsigned long long>(request.block),
                static_cast<unsigned long long>(request.version), what);
    std::fflush(stdout);
    std::_Exit(1);
  }

  void verify_all() {
    uint64_t written = 0;
    Request request;
    request.operation = Operation::kRead;
    for (request.block = 0; request.block < blocks; request.block++) {
      request.version = versions[request.block];
      if (request.version == 0) continue;
      const auto read = lane.read({request.block * kBlockSectors},
                                  std::as_writable_bytes(std::span(request.words)));
      if (!read) wrong(request, read.error().what.c_str());
      check(request);
      written++;
    }
    std::printf("verified %llu blocks\n", static_cast<unsigned long long>(written));
  }

  BlockQueue& lane;
  uint64_t seed;
  std::mt19937_64 random;
  uint64_t blocks;
  std::vector<uint64_t> versions;  // completed writes of each block
  std::vector<bool> busy;
  uint64_t done = 0;
};

Result<> run(char** arguments) {
  const auto domain = parse_decimal(arguments[2], UINT16_MAX);
  const auto device = parse_decimal(arguments[3], UINT32_MAX);
  const auto seed = parse_decimal(arguments[4]);
  if (!domain || !device || !seed) return fail(Errc::kInvalid, "not a number");
  HostOptions options;
  options.emulated = arguments[1];
  options.domain = DomId{static_cast<uint16_t>(*domain)};
  const auto host = TRY(open_host(options));
  const auto disk = TRY(frontend::Disk::connect(*host, static_cast<uint32_t>(*device), {}));
  const auto lane = TRY(disk->open_queue({}));
  Load load(*lane, *seed);
  std::vector<Request> requests(kDepth);
  for (Request& request : requests) load.start(request);
  while (lane->in_flight() != 0) lane->wait();
  load.verify_all();
  return {};
}

}  // namespace
}  // namespace splitring

int main(int argc, char** argv) {
  if (argc != 5) {
    std::fprintf(stderr, "usage: verified_load HOST_DIRECTORY DOMAIN DEVICE_NUMBER SEED\n");
    return 2;
  }
  std::signal(SIGTERM, [](int) { splitring::stop_asked = 1; });
  const auto ran = splitring::run(argv);
  if (ran) return 0;
  std::printf("WRONG: %s\n", ran.error().what.c_str());
  return 1;
}
