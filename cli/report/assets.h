#pragma once

#include <string>
#include <string_view>

namespace lathe::report {

/// Returns the text of the file `name` of cli/report/assets, which is compiled into the program.
/// \throws InvariantError if there is none.
std::string_view asset(std::string_view name);

}  // namespace lathe::report
