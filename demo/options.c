/* options.c - the command line of kin-demo. */
#include "options.h"

#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "kin/init.h"

static const struct options defaults = {
    .directory = "data/netlib",
    .report = "kin-demo.html",
    .model = "pilot4",
    .time_limit = 10,
    .memory_limit_mib = 12,
    .scenarios = 5000,
    .perturbation = 0.05,
    .seed = 2026,
    .kills = 25,
    .faults = true,
    .sweep = true,
    .baseline = true,
};

static const char usage[] =
    "usage: kin-demo [OPTION]... [DIR]\n"
    "\n"
    "Solve real linear programs on all cores, in worker processes that may be killed without harm.\n"
    "DIR holds MPS files (.mps or .mps.gz, fixed or free format) and, if you like, an optima.csv\n"
    "with lines name,rows,columns,nonzeros,optimum; by default it is data/netlib.\n"
    "\n"
    "  -w, --workers N          worker processes (default: one for each CPU)\n"
    "  -t, --time-limit S       wall time for each problem, in seconds (10)\n"
    "      --memory-limit MIB   memory for each problem in the fault story (12)\n"
    "  -m, --model NAME         the problem of the sweep (pilot4)\n"
    "  -n, --scenarios N        scenarios of the sweep (5000)\n"
    "      --perturbation X     largest relative change of a cost or right-hand side (0.05)\n"
    "      --seed N             another set of scenarios (2026)\n"
    "      --kills N            workers killed during the third sweep (25)\n"
    "  -r, --report FILE        where the HTML report goes (kin-demo.html)\n"
    "      --no-report          no report\n"
    "      --no-baseline        do not run the batch with one worker as well\n"
    "      --no-faults          leave the fault story out, and the kills from the sweep\n"
    "      --no-sweep           only the first act\n"
    "  -q, --quick              the short form for automatic tests: 2 s a problem, 300 scenarios,\n"
    "                           5 kills, no batch with one worker\n"
    "  -h, --help               this text\n"
    "      --version            the version of kin\n"
    "\n"
    "Exit code: 0 if all is as it should be (optima as published, runs identical), 1 if something is\n"
    "not (it says what), 2 if it could not start, 130 after Ctrl-C.\n";

enum long_only {
    OPT_MEMORY = 256,
    OPT_PERTURBATION,
    OPT_SEED,
    OPT_KILLS,
    OPT_NO_REPORT,
    OPT_NO_BASELINE,
    OPT_NO_FAULTS,
    OPT_NO_SWEEP,
    OPT_VERSION
};

static const struct option long_options[] = {
    {"workers", required_argument, NULL, 'w'},
    {"time-limit", required_argument, NULL, 't'},
    {"memory-limit", required_argument, NULL, OPT_MEMORY},
    {"model", required_argument, NULL, 'm'},
    {"scenarios", required_argument, NULL, 'n'},
    {"perturbation", required_argument, NULL, OPT_PERTURBATION},
    {"seed", required_argument, NULL, OPT_SEED},
    {"kills", required_argument, NULL, OPT_KILLS},
    {"report", required_argument, NULL, 'r'},
    {"no-report", no_argument, NULL, OPT_NO_REPORT},
    {"no-baseline", no_argument, NULL, OPT_NO_BASELINE},
    {"no-faults", no_argument, NULL, OPT_NO_FAULTS},
    {"no-sweep", no_argument, NULL, OPT_NO_SWEEP},
    {"quick", no_argument, NULL, 'q'},
    {"help", no_argument, NULL, 'h'},
    {"version", no_argument, NULL, OPT_VERSION},
    {NULL, 0, NULL, 0},
};

/* A number from `low` to `high`, or an error message and false. */
static bool parse_number(const char *name, const char *text, double low, double high, double *out)
{
    char *end;

    errno = 0;
    *out = strtod(text, &end);
    if (end != text && *end == '\0' && errno == 0 && *out >= low && *out <= high)
        return true;
    fprintf(stderr, "kin-demo: --%s takes a number from %g to %g, not \"%s\"\n", name, low, high, text);
    return false;
}

static bool parse_whole(const char *name, const char *text, double low, double high, double *out)
{
    if (!parse_number(name, text, low, high, out))
        return false;
    if (*out == floor(*out))
        return true;
    fprintf(stderr, "kin-demo: --%s takes a whole number, not \"%s\"\n", name, text);
    return false;
}

static void make_quick(struct options *out)
{
    out->time_limit = 2;
    out->scenarios = 300;
    out->kills = 5;
    out->baseline = false;
}

/* One option. False: a wrong value, which has been told. */
static bool apply(int option, const char *value, struct options *out)
{
    double n = 0;
    bool good = true;

    switch (option) {
    case 'w':
        good = parse_whole("workers", value, 1, 512, &n);
        out->workers = (int)n;
        break;
    case 't':
        good = parse_number("time-limit", value, 0.01, 1e6, &out->time_limit);
        break;
    case OPT_MEMORY:
        good = parse_whole("memory-limit", value, 1, 1 << 20, &n);
        out->memory_limit_mib = (size_t)n;
        break;
    case 'm':
        out->model = value;
        out->model_given = true;
        break;
    case 'n':
        good = parse_whole("scenarios", value, 1, 1e6, &n);
        out->scenarios = (size_t)n;
        break;
    case OPT_PERTURBATION:
        good = parse_number("perturbation", value, 0, 0.9, &out->perturbation);
        break;
    case OPT_SEED:
        good = parse_whole("seed", value, 0, 9007199254740992.0, &n);
        out->seed = (uint64_t)n;
        break;
    case OPT_KILLS:
        good = parse_whole("kills", value, 0, 10000, &n);
        out->kills = (int)n;
        break;
    case 'r':
        out->report = value;
        break;
    case OPT_NO_REPORT:
        out->report = NULL;
        break;
    case OPT_NO_BASELINE:
        out->baseline = false;
        break;
    case OPT_NO_FAULTS:
        out->faults = false;
        break;
    case OPT_NO_SWEEP:
        out->sweep = false;
        break;
    default:
        break;
    }
    return good;
}

int options_parse(int argc, char **argv, struct options *out)
{
    static const char short_options[] = "w:t:m:n:r:qh";
    int option;

    *out = defaults;
    /* --quick sets new defaults, so it comes before whatever else is given, wherever it stands. */
    opterr = 0;
    while ((option = getopt_long(argc, argv, short_options, long_options, NULL)) != -1)
        if (option == 'q')
            make_quick(out);
    opterr = 1;
    optind = 1;
    while ((option = getopt_long(argc, argv, short_options, long_options, NULL)) != -1) {
        if (option == 'h') {
            fputs(usage, stdout);
            return 0;
        }
        if (option == OPT_VERSION) {
            printf("kin-demo %s\n", kin_version());
            return 0;
        }
        if (option == '?') {
            fputs("kin-demo: see kin-demo --help\n", stderr);
            return 2;
        }
        if (!apply(option, optarg, out))
            return 2;
    }
    if (argc - optind > 1) {
        fprintf(stderr, "kin-demo: one directory at most; \"%s\" is the second\n", argv[optind + 1]);
        return 2;
    }
    if (optind < argc)
        out->directory = argv[optind];
    return OPTIONS_GO;
}
