#include "cli/command_line.hpp"

int main(int argc, char** argv) { return bop::cli::run(argc, argv); }
