# Writes OUTPUT, a source file that defines lathe::report::asset() over the text files ASSETS (a list of paths).
# Run as: cmake -DOUTPUT=... "-DASSETS=a;b" -P embed_assets.cmake
set(entries "")
foreach(path IN LISTS ASSETS)
  get_filename_component(name "${path}" NAME)
  file(READ "${path}" text)
  string(FIND "${text}" ")lathe_asset\"" found)
  if(NOT found EQUAL -1)
    message(FATAL_ERROR "${path}: contains )lathe_asset\", which ends the literal that it is embedded in")
  endif()
  string(APPEND entries "    {\"${name}\", R\"lathe_asset(${text})lathe_asset\"},\n")
endforeach()
file(WRITE "${OUTPUT}"
  "#include \"cli/report/assets.h\"\n\n"
  "#include <map>\n\n"
  "#include \"core/error.h\"\n\n"
  "namespace lathe::report {\n\n"
  "std::string_view asset(std::string_view name) {\n"
  "  static const std::map<std::string_view, std::string_view> assets = {\n"
  "${entries}"
  "  };\n"
  "  const auto found = assets.find(name);\n"
  "  if (found == assets.end()) throw InvariantError(\"asset: there is none called \" + std::string(name));\n"
  "  return found->second;\n"
  "}\n\n"
  "}  // namespace lathe::report\n")
