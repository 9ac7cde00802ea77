#include "base/result.h"

namespace splitring {

const char* to_string(Errc code) {
  switch (code) {
    case Errc::kInvalid: return "invalid";
    case Errc::kNotFound: return "not found";
    case Errc::kExists: return "exists";
    case Errc::kPermission: return "permission denied";
    case Errc::kBusy: return "busy";
    case Errc::kConflict: return "conflict";
    case Errc::kUnsupported: return "unsupported";
    case Errc::kLimit: return "limit reached";
    case Errc::kNoSpace: return "no space";
    case Errc::kIo: return "I/O error";
    case Errc::kPeer: return "protocol broken by the peer";
    case Errc::kClosed: return "closed";
    case Errc::kTimeout: return "timed out";
  }
  return "unknown";
}

Errc errc_from_errno(int error_number) {
  switch (error_number) {
    case EINVAL:
    case ENAMETOOLONG:
    case E2BIG:
    case ERANGE: return Errc::kInvalid;
    case ENOENT:
    case ENODEV:
    case ENXIO:
    case ENOTDIR: return Errc::kNotFound;
    case EEXIST: return Errc::kExists;
    case EACCES:
    case EPERM:
    case EROFS: return Errc::kPermission;
    case EBUSY:
    case ETXTBSY: return Errc::kBusy;
    case EAGAIN: return Errc::kConflict;
    case EOPNOTSUPP:
    case ENOSYS:
    case ENOTTY: return Errc::kUnsupported;
    case ENOMEM:
    case EMFILE:
    case ENFILE:
    case EDQUOT: return Errc::kLimit;
    case ENOSPC: return Errc::kNoSpace;
    case EPROTO:
    case EBADMSG: return Errc::kPeer;
    case EPIPE:
    case ECONNRESET:
    case ECONNREFUSED:
    case ENOTCONN: return Errc::kClosed;
    case ETIMEDOUT: return Errc::kTimeout;
    default: return Errc::kIo;
  }
}

tl::unexpected<Error> fail_errno(std::string what, int error_number) {
  what += ": ";
  what += std::strerror(error_number);
  return fail(errc_from_errno(error_number), std::move(what));
}

tl::unexpected<Error> fail_within(const std::string& where, const Error& inner) {
  return fail(inner.code, where + ": " + inner.what);
}

}  // namespace splitring
