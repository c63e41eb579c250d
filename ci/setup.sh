#!/usr/bin/env bash
# Sets up a Debian machine: system packages, then a virtual environment in .venv.
# Safe to repeat (does only what is missing) and to interrupt (does it again).
# With --builds, also what it takes to build kernels (git:TREE@REV) and to run all tests;
# with --runtime only what it takes to test kernels, for CI jobs of others.
set -euo pipefail
cd "$(dirname "$0")/.."

packages=(
    busybox-static             # for vng's initramfs
    ca-certificates            # mirrors over https
    debian-archive-keyring     # checks what is downloaded
    e2fsprogs                  # mkfs.ext4: the guest's disks
    file                       # vng reads a kernel image's release with it
    kmod                       # depmod, modprobe: which modules boot a kernel
    lz4                        # reads kernels compressed with it (6.1 cloud)
    mmdebstrap                 # builds the guest image
    python3-pip python3-venv   # the virtual environment
    qemu-system-x86            # runs the guests
    rpm rpm2cpio               # .rpm: its own tools check digests and know every payload
    uidmap                     # mmdebstrap without root
    xz-utils zstd              # packages and modules compressed with them
)
# The tests make packages with the tools that distributions make theirs with, look at the
# HTML report as people do, set man pages, and keep runs in a database server.
tested_with=(
    chromium
    groff-base                 # the man pages
    libarchive-tools           # bsdtar, which makepkg calls and its package does not bring
    linux-perf                 # counts guest instructions under KVM (ci/benchmark.py)
    lzop                       # kernels compressed with it, which hardly any is today
    makepkg                    # Arch Linux packages (rpm has rpmbuild, dpkg dpkg-deb)
    postgresql                 # the store of runs in a real server
    rsync                      # what tmt takes a machine's files to the test with
)
# Documentation/process/changes.rst of a kernel tree says why of each.
for_builds=(
    bc bison flex gcc git make perl
    binutils                   # ld; addr2line and nm decode stack traces
    ccache                     # a revision built before its neighbour costs less
    libc6-dev libelf-dev       # headers for the kernel's own tools, objtool among them
)
wanted_packages=("${packages[@]}" "${tested_with[@]}")
extras='[dev]'
case ${1-} in
"") ;;
--builds) wanted_packages+=("${for_builds[@]}") ;;
--runtime)
    wanted_packages=("${packages[@]}")
    extras=
    ;;
*)
    echo "usage: ci/setup.sh [--builds | --runtime]" >&2
    exit 2
    ;;
esac
missing=()
for package in "${wanted_packages[@]}"; do
    status=$(dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null || true)
    [ "$status" = installed ] || missing+=("$package")
done
if [ ${#missing[@]} -gt 0 ]; then
    as_root=()
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null || {
            echo "setup: as root, run: apt-get install ${missing[*]}" >&2
            exit 3
        }
        as_root=(sudo)
    fi
    echo "setup: installing system packages: ${missing[*]}"
    export DEBIAN_FRONTEND=noninteractive
    "${as_root[@]}" apt-get update -qq
    "${as_root[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi

# Done again only if what is asked for has changed; the stamp is written last.
content=$(sha256sum pyproject.toml | cut -d' ' -f1)
case "$(cat .venv/.afalg-harness 2>/dev/null)" in
"$content$extras" | "$content[dev]") ;; # what the tests need has all that a run needs
*)
    echo "setup: installing the Python packages into .venv"
    python3 -m venv .venv
    .venv/bin/pip install --quiet --disable-pip-version-check --editable ".$extras"
    echo "$content$extras" >.venv/.afalg-harness
    ;;
esac

# The tests read report.ktap with the kernel's own tool.
if [ "${1-}" = --builds ]; then
    .venv/bin/python ci/kunit_tool.py >/dev/null
fi
