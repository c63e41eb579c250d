#!/usr/bin/env bash
# Tests kernels as a job of a CI server, which says by the environment what to test: the recipes
# in ci/github, ci/gitlab, ci/jenkins, ci/buildkite and ci/tmt run it. Nothing that it is given
# becomes text of a shell. Its exit code is that of "afalg-harness run": 1 is the kernel's
# fault, 2 the job's, 3 the machine's.
#
#   AFALG_TREE          a kernel tree, or its O= directory, with what was built in it
#   AFALG_PACKAGES      patterns of the package files of one kernel, one a line
#   AFALG_KERNELS       kernels as "run" takes them, one a line
#   AFALG_BASELINE      the kernel to compare with (default: the first of several)
#   AFALG_SUITES        suites or test ids, one a line (default: all suites)
#   AFALG_EXPECTATIONS  a file of what is known and stays so
#   AFALG_SHARD         I/N: the I-th of N jobs that share the kernels
#   AFALG_MERGE         patterns of the run directories of all shards, one a line: they are put
#                       together, and nothing is run
#   AFALG_LABEL         what reports call the kernel, whatever its version
#   AFALG_ARGUMENTS     further arguments of "run", one a line
#   AFALG_OUT           the run directory (default: afalg-run)
#   AFALG_OUTPUTS       a file that gets the lines exit_code=N and outcome=WORD (default: what
#                       a step's outputs go to on GitHub)
#
# AFALG_CACHE, AFALG_MIRROR and AFALG_STORE are heeded as everywhere. In the run directory lie
# junit.xml, summary.md and report.html. GitHub gets its annotations and the job's summary,
# Buildkite an annotation.
set -uo pipefail
top=$(cd "$(dirname "$0")/.." && pwd) || exit 3
harness=$top/.venv/bin/afalg-harness
[ -x "$harness" ] || harness=afalg-harness
out=${AFALG_OUT:-afalg-run}
outputs=${AFALG_OUTPUTS:-${GITHUB_OUTPUT-}}

lines() { # TEXT: its lines that say something, without blanks around them
    sed 's/^[[:space:]]*//; s/[[:space:]]*$//; /^$/d' <<<"$1"
}

on_github() { [ "${GITHUB_ACTIONS-}" = true ]; }

# A command of GitHub's runner; what it says is a line of ours.
command_of_github() { # LEVEL TITLE TEXT
    ! on_github || printf '::%s title=%s::%s\n' "$1" "${2//:/%3A}" "${3//%/%25}"
}

finish() { # CODE
    local level=error outcome told
    case $1 in
    0)
        if [ -f "$out/results.json" ]; then
            outcome=passed level= told="as expected"
        else
            outcome=none level= told="nothing was run: no kernel falls to this shard"
        fi
        ;;
    1) outcome=regression level= told="a regression, see above" ;; # it has annotations
    2) outcome=usage told="the job is wrong, see above" ;;
    3)
        outcome=infrastructure level=warning
        told="a fault of the machine, not of the kernel: nothing is known of it"
        ;;
    130 | 143) outcome=interrupted level=warning told="interrupted" ;;
    *) outcome=infrastructure level=warning told="ended by itself with $1: nothing is known" ;;
    esac
    echo "afalg: $outcome ($1): $told" >&2
    [ -z "$level" ] || command_of_github "$level" "AF_ALG: $outcome" "$told"
    [ -z "$outputs" ] || printf 'exit_code=%s\noutcome=%s\n' "$1" "$outcome" >>"$outputs"
    exit "$1"
}

usage() { # TEXT
    echo "afalg: $1" >&2
    finish 2
}

# What kernels and tests say must not be taken for commands of GitHub's runner.
muted() { # COMMAND...
    local code=0 token
    if ! on_github; then
        "$@"
        return
    fi
    token=$(cat /proc/sys/kernel/random/uuid)
    echo "::stop-commands::$token"
    "$@" || code=$?
    echo "::$token::"
    return $code
}

# A server's signal reaches this shell alone. The harness ends its guests and keeps what had
# finished, and is waited for.
heeded() { # COMMAND...
    local code=0 signalled=
    "$@" &
    # shellcheck disable=SC2064
    trap "signalled=1; kill -TERM $! 2>/dev/null" INT TERM HUP
    wait $! || code=$?
    if [ -n "$signalled" ]; then # only the first wait is ended by the signal
        code=0
        wait $! || code=$?
    fi
    trap - INT TERM HUP
    return $code
}

found=()
find_all() { # PATTERNS WHAT: the paths that match go to "found"
    local pattern matched
    found=()
    while read -r pattern; do
        mapfile -t matched < <(compgen -G "$pattern" | sort)
        [ ${#matched[@]} -gt 0 ] || usage "$pattern: there is no such $2"
        found+=("${matched[@]}")
    done < <(lines "$1")
}

kernels=()
if [ -n "${AFALG_TREE-}" ]; then
    kernels+=("$AFALG_TREE")
fi
find_all "${AFALG_PACKAGES-}" package
if [ ${#found[@]} -gt 0 ]; then
    kernels+=("$(IFS=, && echo "${found[*]}")")
fi
mapfile -t named < <(lines "${AFALG_KERNELS-}")
kernels+=(${named[@]+"${named[@]}"})
find_all "${AFALG_MERGE-}" run
[ $((${#kernels[@]} + ${#found[@]})) -gt 0 ] ||
    usage "no kernel is named: set AFALG_KERNELS, AFALG_TREE or AFALG_PACKAGES"

mapfile -t arguments < <(lines "${AFALG_ARGUMENTS-}")
while read -r suite; do
    arguments+=("--suite=$suite")
done < <(lines "${AFALG_SUITES-}")
for option in baseline expectations shard; do
    name=AFALG_${option^^}
    [ -z "${!name-}" ] || arguments+=("--$option=${!name}")
done

if [ ${#found[@]} -gt 0 ]; then
    command=("$harness" report "--out=$out" merge "${found[@]}")
else
    command=("$harness" run "--out=$out" ${arguments[@]+"${arguments[@]}"} -- "${kernels[@]}")
fi
code=0
muted heeded "${command[@]}" || code=$?
if [ -f "$out/results.json" ]; then
    formats=(--format junit --format summary --format github)
    [ -z "${AFALG_LABEL-}" ] || formats+=("--label=$AFALG_LABEL")
    # Their exit code is the run's, which is known already.
    muted "$harness" report -q "$out" "${formats[@]}" || true
    if on_github; then
        cat "$out/annotations.txt"
        [ -z "${GITHUB_STEP_SUMMARY-}" ] || cat "$out/summary.md" >>"$GITHUB_STEP_SUMMARY"
    elif [ "${BUILDKITE-}" = true ]; then
        styles=([0]=success [1]=error)
        buildkite-agent annotate --context "afalg-${BUILDKITE_JOB_ID-}" \
            --style "${styles[code]:-warning}" <"$out/summary.md" || true
    fi
fi
finish $code
