# shellcheck shell=sh disable=SC2154 # who sources this has set suite
# tap.sh - for test scripts: set `suite`, `. tap.sh`, one `try NAME COMMAND...` a test, then `finish`.
#
# A temporary directory, $scratch, goes at the end.

number=0
failures=0
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
trap 'exit 1' HUP INT TERM

# Run a command; it passes if its exit code is 0. What it printed is shown if not.
try() {
    name=$1
    shift
    number=$((number + 1))
    if "$@" >"$scratch/output" 2>&1 </dev/null; then
        echo "ok $number - $suite, $name"
    else
        echo "not ok $number - $suite, $name"
        sed 's/^/#   /' "$scratch/output"
        failures=$((failures + 1))
    fi
}

skip() {
    number=$((number + 1))
    echo "ok $number - $suite, $1 # SKIP $2"
}

finish() {
    echo "1..$number"
    [ "$failures" = 0 ]
    exit
}

# The command fails, and says something that matches the pattern.
fails_with() {
    pattern=$1
    shift
    if "$@" >"$scratch/said" 2>&1; then
        echo "succeeded: $*"
        return 1
    fi
    cat "$scratch/said"
    grep -q -e "$pattern" "$scratch/said" || {
        echo "did not say: $pattern"
        return 1
    }
}
