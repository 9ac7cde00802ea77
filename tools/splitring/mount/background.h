// Going to the background, so that whoever typed the command learns whether it worked.
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"

namespace splitring::tools {

class Background {
 public:
  // Stays in the foreground: ready() does nothing.
  Background() = default;

  // Forks: returns in the child, in a session of its own. The parent waits for ready() and exits
  // then with 0; if the child ends before, with the child's code. Call it before any thread starts.
  static Result<Background> enter();

  // Lets the parent go, and the terminal and the working directory with it.
  void ready();

 private:
  UniqueFd to_parent_;
};

}  // namespace splitring::tools
