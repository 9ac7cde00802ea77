#include "backend/make_thread.h"

#include <system_error>
#include <utility>

namespace splitring::backend {

Result<std::thread> make_thread(std::function<void()> body) try {
  return std::thread(std::move(body));
} catch (const std::system_error& error) {
  return fail(Errc::kLimit, "no thread can be made: " + error.code().message() +
                                "; raise the limit of tasks (TasksMax= of the service, ulimit -u, "
                                "or the system's kernel.threads-max), or its memory");
}

}  // namespace splitring::backend
