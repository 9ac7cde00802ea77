#include "tools/common/partition_hint.h"

#include "blkimage/disk_uri.h"
#include "blkimage/partition_table.h"

namespace splitring::tools {

tl::unexpected<Error> fail_on_disk(BlockQueue& lane, const std::string& uri, const Error& error) {
  const auto parsed = parse_disk_uri(uri);
  if (error.code != Errc::kInvalid || !parsed || parsed->partition != 0)
    return fail_within(uri, error);
  const auto partitions = read_partitions(lane);
  if (!partitions || partitions->empty()) return fail_within(uri, error);
  std::string numbers;
  for (const Partition& partition : *partitions)
    numbers += (numbers.empty() ? "" : ", ") + std::to_string(partition.number);
  return fail(error.code, uri + ": it is a disk with partitions (" + numbers + "): say which, as " +
                              parsed->scheme + ":" + parsed->target + "#" +
                              std::to_string(partitions->front().number));
}

}  // namespace splitring::tools
