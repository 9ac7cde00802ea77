// A snapshot as a stream of bytes, whole or as what changed since an earlier one; and back into a
// store. The store that is backed up goes on meanwhile.
//
// The stream, little-endian: header (kBackupMagic, version 4, flags 4: 1 = since a base; the
// snapshot's name and the base's, each behind its length in 2 bytes), frames, the SHA-256 of all
// before it. A frame begins with its kind:
//   't' length 2, name          the tree that the frames behind it are about
//   'x' length 2, name          that tree is gone
//   'r' length 2, key           removed
//   'p' length 2, key, has a time 1, time 8, length 8, value
//   'e'                         the end
// One thread: the session's.
#pragma once

#include "kv/tree/session.h"

namespace splitring::kv {

inline constexpr std::string_view kBackupMagic = "springbk";

struct BackupInfo {
  std::string snapshot;
  std::string base;  // empty: whole
  uint64_t keys = 0;
  uint64_t removed = 0;
  uint64_t bytes = 0;  // of the stream
};

using BackupSink = std::function<Result<>(std::string_view bytes)>;
// kNotFound: no such snapshot. An empty base: whole.
Result<BackupInfo> backup(Session& session, std::string_view snapshot, std::string_view base,
                          const BackupSink& sink);

// Into the session's branch, and a snapshot of the same name. A whole backup needs a branch without
// any key (kExists), one since a base its snapshot and nothing written since (kConflict); that is
// taken in as one transaction. kInvalid: it is no backup, or damaged, or not all of it: of a whole
// one, what came before that is in the store then.
Result<BackupInfo> restore(Session& session, const Session::Source& source);

}  // namespace splitring::kv
