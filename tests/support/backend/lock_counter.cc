#include "tests/support/backend/lock_counter.h"

#include <dlfcn.h>
#include <pthread.h>

namespace {

thread_local uint64_t locks = 0;

// The library's own function behind the one of that name here.
template <class Function>
Function* behind(const char* name) {
  return reinterpret_cast<Function*>(::dlsym(RTLD_NEXT, name));
}

}  // namespace

namespace splitring::testing {

uint64_t locks_of_this_thread() { return locks; }

}  // namespace splitring::testing

extern "C" {

int pthread_mutex_lock(pthread_mutex_t* mutex) noexcept {
  static auto* const lock = behind<int(pthread_mutex_t*)>("pthread_mutex_lock");
  locks++;
  return lock(mutex);
}

int pthread_mutex_trylock(pthread_mutex_t* mutex) noexcept {
  static auto* const lock = behind<int(pthread_mutex_t*)>("pthread_mutex_trylock");
  locks++;
  return lock(mutex);
}

int pthread_rwlock_rdlock(pthread_rwlock_t* rwlock) noexcept {
  static auto* const lock = behind<int(pthread_rwlock_t*)>("pthread_rwlock_rdlock");
  locks++;
  return lock(rwlock);
}

int pthread_rwlock_wrlock(pthread_rwlock_t* rwlock) noexcept {
  static auto* const lock = behind<int(pthread_rwlock_t*)>("pthread_rwlock_wrlock");
  locks++;
  return lock(rwlock);
}
}
