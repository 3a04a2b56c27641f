// output_cxx.cc - what C++ streams hold at a process's end. output_cxx_test compiles and runs it:
// output_cxx METHOD OUTPUT (pass, prefix) SYNC (0, 1) END (return, exit, crash)
#include <kin.h>

#include <cstdlib>
#include <cstring>
#include <iostream>
#include <string>

static int print(void *arg)
{
    const char *end = static_cast<const char *>(arg);
    std::clog << "log, ";
    std::cerr << "err\n"; // writes out what std::cout holds, too
    std::cout << "whole " << 1 << std::endl << "half";
    if (std::strcmp(end, "exit") == 0)
        std::exit(0);
    if (std::strcmp(end, "crash") == 0)
        std::abort();
    return 0;
}

int main(int argc, char **argv)
{
    if (argc > 3 && *argv[3] == '0')
        std::ios::sync_with_stdio(false);
    if (kin_init(&argc, &argv) || argc < 5)
        return 2;
    std::cout << "parent, ";
    kin_process_options options = {};
    options.size = sizeof options;
    options.name = "p";
    options.start_method = kin_start_method_by_name(argv[1]);
    options.output = std::string(argv[2]) == "prefix" ? KIN_OUTPUT_PREFIX : KIN_OUTPUT_PASS;
    kin_process *process = kin_process_start(print, argv[4], std::strlen(argv[4]) + 1, &options);
    if (!process || kin_process_join(process, 60)) {
        std::cerr << kin_error_message() << "\n";
        return 1;
    }
    std::cout << "parent\n";
    kin_process_free(process);
    return 0;
}
