// Errors as values. Asserts catch our own bugs; a Result carries the world's faults.
//
// An Error is made for a person: it says what failed, where, and, where that is known, what to do.
// Making one allocates, so the data path reports IoStatus (blkimage/block_device.h) instead.
#pragma once

#include <cerrno>
#include <cstring>
#include <string>
#include <tl/expected.hpp>
#include <utility>

namespace splitring {

enum class Errc : unsigned char {
  kInvalid,      // malformed or out-of-range input
  kNotFound,     // no such file, node, domain, key
  kExists,       // already there
  kPermission,   // not allowed to
  kBusy,         // held by someone else
  kConflict,     // a transaction lost a race: do it again
  kUnsupported,  // this system, kernel or peer cannot do it
  kLimit,        // a quota or bound of ours was reached
  kNoSpace,      // the medium is full
  kIo,           // the medium failed
  kPeer,         // the other end of a ring, grant or socket broke the protocol
  kClosed,       // the other end, or the device, has gone
  kTimeout,      // not in time
};

const char* to_string(Errc code);

struct Error {
  Errc code;
  std::string what;
};

template <class T = void>
using Result = tl::expected<T, Error>;

[[nodiscard]] inline tl::unexpected<Error> fail(Errc code, std::string what) {
  return tl::unexpected<Error>(Error{code, std::move(what)});
}

// The closest Errc for an errno value.
Errc errc_from_errno(int error_number);

// "what: No such file or directory". Reads errno's value from the argument so that building `what`
// cannot disturb it.
[[nodiscard]] tl::unexpected<Error> fail_errno(std::string what, int error_number);

// Adds where we were to an error that comes from below: "opening disk: raw:x.img: ...".
[[nodiscard]] tl::unexpected<Error> fail_within(const std::string& where, const Error& inner);

}  // namespace splitring

// const T t = TRY(probe(fd));   returns from the function on an error. One a statement, in no new.
#define TRY(expression) SPLITRING_TRY(expression, SPLITRING_UNIQUE(try_result_, __COUNTER__))
#define SPLITRING_TRY(expression, result)                                 \
  __extension__({                                                         \
    auto result = (expression);                                           \
    if (!result) return ::tl::make_unexpected(std::move(result).error()); \
    std::move(result).value();                                            \
  })

// The same for a Result<> that carries no value (Debian's tl::expected has no value() for void).
#define TRY_VOID(expression) \
  SPLITRING_TRY_VOID(expression, SPLITRING_UNIQUE(try_result_, __COUNTER__))
#define SPLITRING_TRY_VOID(expression, result)                            \
  do {                                                                    \
    auto result = (expression);                                           \
    if (!result) return ::tl::make_unexpected(std::move(result).error()); \
  } while (false)

// A name of its own for each use, so that a lambda inside one may use another.
#define SPLITRING_UNIQUE(name, number) SPLITRING_UNIQUE_(name, number)
#define SPLITRING_UNIQUE_(name, number) name##number
