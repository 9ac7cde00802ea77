// Where the clusters of a volume lie.
#pragma once

#include <cstdint>

namespace splitring {

// Clusters in a row.
struct FatRun {
  uint32_t first = 0;
  uint32_t count = 0;
};

// Clusters have the numbers 2 to clusters + 1, and lie within the disk.
struct FatClusters {
  uint32_t cluster_bytes = 512;
  uint32_t clusters = 0;
  uint64_t data_offset = 0;  // of cluster 2, in bytes from the start of the volume

  [[nodiscard]] bool is_cluster(uint32_t cluster) const {
    return cluster >= 2 && cluster - 2 < clusters;
  }
  [[nodiscard]] uint32_t end_cluster() const { return clusters + 2; }  // behind the last one
  // Precondition: is_cluster().
  [[nodiscard]] uint64_t offset_of(uint32_t cluster) const {
    return data_offset + uint64_t{cluster - 2} * cluster_bytes;
  }
  [[nodiscard]] uint64_t clusters_for(uint64_t bytes) const {
    return bytes / cluster_bytes + (bytes % cluster_bytes != 0 ? 1 : 0);
  }
};

}  // namespace splitring
