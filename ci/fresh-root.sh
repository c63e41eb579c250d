#!/usr/bin/env bash
# Goes through the README's commands on a machine that has nothing: a Debian 12 root made
# anew (--release trixie: of Debian 13) with git, python3 and apt alone, with this checkout's HEAD
# cloned into it. Its main job (a few tests) boots real kernels from an empty cache; its test
# command leaves those out.
# Takes root, the packages of ci/setup.sh and some 4 GB in $TMPDIR, which are given back.
#
#   ci/fresh-root.sh [--release SUITE] [--cache DIR] [--passed FILE]
#
# DIR is the kernels' cache instead of an empty one; the ids of tests that passed go to FILE.
set -euo pipefail
release=bookworm
cache=
passed=
while [ $# -gt 0 ]; do
    case $1 in
    --release) release=${2:?} ;;
    --cache) cache=${2:?} ;;
    --passed) passed=${2:?} ;;
    *)
        echo "usage: ci/fresh-root.sh [--release SUITE] [--cache DIR] [--passed FILE]" >&2
        exit 2
        ;;
    esac
    shift 2
done
checkout=$(cd "$(dirname "$0")/.." && pwd)

mirrors() { # the lines of sources.list for the release, as this machine's apt has them for its own
    local own
    own=$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release)
    apt-get indextargets --no-release-info 'Created-By: Packages' \
        --format 'deb $(REPO_URI) $(RELEASE) $(COMPONENT)' |
        sed -En "s/ $own(-updates|-security)? main\$/ $release\\1 main/p" | sort -u
}

# What pip and apt need to get through to their servers is the machine's, not the root's.
hand_in() { # ROOT
    local file settings=(/etc/resolv.conf /etc/pip.conf /etc/xdg/pip /usr/local/share/ca-certificates)
    for file in "${settings[@]}"; do
        [ ! -e "$file" ] || tar -chf - -C / ".$file" | tar -xf - -C "$1"
    done
    [ ! -d ~/.config/pip ] || { mkdir -p "$1/root/.config" && cp -rL ~/.config/pip "$1/root/.config"; }
    mkdir -p "$1/root/.cache/pip" "$1/root/.cache/afalg-harness"
}

environment=(HOME=/root TERM=dumb PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin)
for name in "${!PIP_@}" http_proxy https_proxy no_proxy HTTP_PROXY HTTPS_PROXY NO_PROXY AFALG_MIRROR; do
    [ -z "${!name+set}" ] || environment+=("$name=${!name}")
done
# Downloads of the machine's own pip need not be repeated.
pip_cache=${PIP_CACHE_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/pip}
environment+=(PIP_CACHE_DIR=/root/.cache/pip)
mkdir -p "$pip_cache"

# In namespaces of its own: what is mounted or started there is gone with its first process,
# and that with this script.
contained() { # COMMAND...
    setpriv --pdeathsig KILL unshare --mount --propagation private --pid --fork --kill-child \
        --mount-proc "$@" </dev/null &
    child=$!
    wait "$child"
    child=
}

# A new root by chroot(2) would not do: the kernel allows no user namespaces in one.
# shellcheck disable=SC2016
enter='
set -euo pipefail
root=$1; pip_cache=$2; cache=$3; shift 3
mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
mount --rbind /sys "$root/sys"
mount --rbind /dev "$root/dev"
mount --bind "$pip_cache" "$root/root/.cache/pip"
mount --bind "$cache" "$root/root/.cache/afalg-harness"
cd "$root"
pivot_root . mnt
umount --lazy /mnt
cd /root/afalg-harness
exec env -i "$@"
'
inside() { # COMMAND... in the clone, under the root
    contained bash -c "$enter" enter "$root" "$pip_cache" "$cache" "${environment[@]}" "$@"
}

stage() { # WHAT COMMAND...
    local TIMEFORMAT="fresh root: $1: %0R s (CPU %0U s user, %0S s system)"
    echo "fresh root: $1"
    time "${@:2}"
}

make_root() {
    mirrors >"$scratch/sources.list"
    # How to reach a mirror; not which indexes this machine wants besides (apt-file's are large).
    apt-config dump | grep '^Acquire::[^ ]* "..*";$' | grep -v '^Acquire::IndexTargets::' \
        >"$scratch/apt.conf"
    TMPDIR=$scratch contained mmdebstrap --quiet --mode=root --variant=minbase --include=git,python3 \
        --aptopt="$scratch/apt.conf" --dpkgopt=force-unsafe-io \
        "$release" "$root" "$scratch/sources.list"
    hand_in "$root"
    git clone --quiet --no-hardlinks "$checkout" "$root/root/afalg-harness"
}

child=
scratch=$(mktemp -d "${TMPDIR:-/tmp}/fresh-root.XXXXXX")
root=$scratch/root
[ -n "$cache" ] || cache=$scratch/cache
mkdir -p "$cache"
cache=$(cd "$cache" && pwd)
# The signal goes on to the namespace, whose end is waited for: only then is nothing mounted.
trap '[ -z "$child" ] || { kill -KILL "$child" 2>/dev/null || true; wait "$child" || true; }
      rm -rf --one-file-system "$scratch"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
chmod 755 "$scratch"
stage "Debian's $release with git and python3" make_root
selection=(--suite zero_copy/test_input.py -k splice_file)
stage "ci/main-job.sh ${selection[*]}" inside ci/main-job.sh "${selection[@]}"
stage "ci/test.sh -m 'not vm'" inside ci/test.sh -m "not vm" -rs --write-passed=/root/passed
[ -z "$passed" ] || cp "$root/root/passed" "$passed"
