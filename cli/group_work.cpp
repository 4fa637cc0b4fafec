#include "cli/group_work.h"

#include <cstdlib>
#include <exception>

#include "cli/interrupt.h"
#include "supernet/distributed/launch.h"

namespace lathe::cli {

void with_group(const search::SearchSpace& space,
                const std::function<supernet::SupernetOptions()>& read_options,
                const std::function<void(supernet::Group*)>& work) {
  const supernet::Launch launch = supernet::read_launch(std::getenv);
  if (launch.size == 1) {
    work(nullptr);
    return;
  }
  const supernet::SupernetOptions options = read_options();
  supernet::SupernetModule& module = supernet::load_supernet_module();
  const std::unique_ptr<supernet::Group> group = module.join(launch, options);
  try {
    if (launch.rank == 0) {
      work(group.get());
      group->end();
    } else {
      module.serve(*group, space, options, interrupted);
    }
  } catch (const std::exception& error) {
    group->give_up(error.what());
    throw;
  }
}

}  // namespace lathe::cli
