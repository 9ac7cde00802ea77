#include "tools/splitring/command.h"

#include "xenbus/device_path.h"

namespace splitring::tools {

std::string full_name(const CLI::App& command) {
  std::string name = command.get_name();
  for (const CLI::App* parent = command.get_parent(); parent->get_parent() != nullptr;
       parent = parent->get_parent())
    name = parent->get_name() + " " + name;
  return name;
}

void add_guest_option(CLI::App& command, DomId& guest) {
  add_domain_option(
      command, "--domain", [&guest](DomId domain) { guest = domain; },
      "The domain whose disk it is")
      ->required();
}

void add_vdev_option(CLI::App& command, uint32_t& number, std::string& name) {
  command
      .add_option_function<std::string>(
          "--vdev",
          [&number, &name](const std::string& text) {
            const auto parsed = virtual_device_number(text);
            if (!parsed) throw CLI::ValidationError("--vdev", parsed.error().what);
            number = *parsed;
            name = virtual_device_name(number);
          },
          "What the guest calls the disk: xvda, xvdb, ...")
      ->type_name("NAME")
      ->required();
}

}  // namespace splitring::tools
