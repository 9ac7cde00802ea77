// Preloaded into xl, in the lab: the next domain gets the number in LAB_DOMID, so that a test need
// not make 32,000 domains until one comes again.
#include <dlfcn.h>

#include <cstdint>
#include <cstdlib>

// As in xenctrl.h, which is no C++.
extern "C" int xc_domain_create(void* handle, uint32_t* domain, void* config) {
  using Create = int(void*, uint32_t*, void*);
  auto* const real = reinterpret_cast<Create*>(::dlsym(RTLD_NEXT, "xc_domain_create"));
  if (const char* const wanted = std::getenv("LAB_DOMID"))
    *domain = static_cast<uint32_t>(std::strtoul(wanted, nullptr, 10));
  return real(handle, domain, config);
}
