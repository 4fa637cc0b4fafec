#include "cli/program.h"

int main(int argc, char** argv) { return lathe::cli::run_program(argc, argv); }
