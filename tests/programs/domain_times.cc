// Prints the processor time that each domain has had, and this moment, in nanoseconds: a line
// "DOMAIN NS" each, and "now NS". For the lab of a real Xen, in domain 0.
#include <chrono>
#include <cstdio>

extern "C" {
#include <libxl.h>
}

int main() {
  libxl_ctx* xen = nullptr;
  if (libxl_ctx_alloc(&xen, LIBXL_VERSION, 0, nullptr) != 0) return 1;
  int count = 0;
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  libxl_dominfo* const domains = libxl_list_domain(xen, &count);
  for (int i = 0; i < count; i++)
    std::printf("%u %llu\n", domains[i].domid,
                static_cast<unsigned long long>(domains[i].cpu_time));
  std::printf("now %lld\n", static_cast<long long>(
                                std::chrono::duration_cast<std::chrono::nanoseconds>(now).count()));
  libxl_dominfo_list_free(domains, count);
  libxl_ctx_free(xen);
  return count > 0 ? 0 : 1;
}
