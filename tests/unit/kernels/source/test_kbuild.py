"""Configuring and compiling, with make and vng as they are and a source tree of a few lines."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from harness.errors import BuildError, HostError, InfrastructureError
from harness.kernels.source import kbuild
from harness.kernels.source.fragments import Fragment, parse_fragment
from harness.kernels.source.kbuild import (
    Compiler,
    compile_kernel,
    configure,
    find_compiler,
    first_error,
    mend,
)
from tests.unit.kernels.source.small_tree import write_source

COMPILER = Compiler("gcc", "gcc (Debian) 12.2.0")

COMPILE_ERROR = """\
make[1]: Entering directory '/tmp/o'
  CC      crypto/af_alg.o
  CC      crypto/algif_hash.o
../source/crypto/af_alg.c: In function 'af_alg_init':
../source/crypto/af_alg.c:12:9: warning: unused variable 'x' [-Wunused-variable]
../source/crypto/af_alg.c:14:9: error: 'y' undeclared (first use in this function)
   14 |         y = 1;
      |         ^
../source/crypto/af_alg.c:15:1: error: expected ';' before '}' token
make[3]: *** [../source/scripts/Makefile.build:287: crypto/af_alg.o] Error 1
make[2]: *** [../source/scripts/Makefile.build:544: crypto] Error 2
make: *** [Makefile:248: __sub-make] Error 2
Traceback (most recent call last):
subprocess.CalledProcessError: Command '['make']' returned non-zero exit status 2.
"""


@pytest.mark.parametrize(
    ("log", "error"),
    [
        (
            COMPILE_ERROR,
            "../source/crypto/af_alg.c:14:9: error: 'y' undeclared (first use in this function)",
        ),
        (
            "  CC      a.o\nIn file included from a.c:1:\na.h:3:10: fatal error: x.h:"
            " No such file or directory\ncompilation terminated.\n",
            "a.h:3:10: fatal error: x.h: No such file or directory",
        ),
        (
            "  LD      vmlinux.o\nld: crypto/af_alg.o: in function `af_alg_release':\naf_alg.c:"
            "(.text+0x1): undefined reference to `sock_put_it'\nmake[1]: *** [Makefile:1:"
            " vmlinux] Error 1\n",
            "ld: crypto/af_alg.o: in function `af_alg_release':",
        ),
        (
            "make[2]: *** No rule to make target 'crypto/gone.o', needed by 'crypto/built-in.a'."
            "  Stop.\nmake: *** [Makefile:248: __sub-make] Error 2\n",
            "make[2]: *** No rule to make target 'crypto/gone.o', needed by 'crypto/built-in.a'."
            "  Stop.",
        ),
        (
            '  MODPOST x\nERROR: modpost: "af_alg_x" [crypto/algif_hash.ko] undefined!\n'
            "make[2]: *** [scripts/Makefile.modpost:145: Module.symvers] Error 1\n",
            'ERROR: modpost: "af_alg_x" [crypto/algif_hash.ko] undefined!',
        ),
        (
            "/bin/sh: 1: bc: not found\nmake[1]: *** [Kbuild:24: timeconst.h] Error 127\n",
            "/bin/sh: 1: bc: not found",
        ),
        (
            "a.c:1:1: error: it comes from a full disk\nfatal error: error writing to /tmp/ccX.s:"
            " No space left on device\n",
            "fatal error: error writing to /tmp/ccX.s: No space left on device",
        ),
        (
            "gcc: fatal error: Killed signal terminated program cc1\ncompilation terminated.\n",
            "gcc: fatal error: Killed signal terminated program cc1",
        ),
        (
            "../scripts/link-vmlinux.sh: line 49:  1234 Killed                  ld -m elf_x86_64\n"
            "make[1]: *** [Makefile:1174: vmlinux] Error 137\n",
            "../scripts/link-vmlinux.sh: line 49:  1234 Killed                  ld -m elf_x86_64",
        ),
        # A compiler shows the line that it complains of: this one names no failure.
        (
            'mm/a.c:1:1: error: expected ; before }\n    1 | pr_err("Killed process");\n',
            "mm/a.c:1:1: error: expected ; before }",
        ),
        ("something else\nlast words\n\n", "last words"),
        ("", "no output"),
    ],
)
def test_first_error(log: str, error: str) -> None:
    assert first_error(log.splitlines()) == error


def _ignore(_made: str, _number: int) -> None:
    pass


def _fragment(text: str) -> list[Fragment]:
    return [parse_fragment("mine", text)]


def _compile(source: Path, output: Path, log: Path) -> list[tuple[str, int]]:
    steps: list[tuple[str, int]] = []

    def report(made: str, number: int) -> None:
        steps.append((made, number))

    compile_kernel(source, output, COMPILER, "-test", log, report)
    return steps


def test_configured_and_compiled(tmp_path: Path) -> None:
    source, output = write_source(tmp_path / "source"), tmp_path / "output"
    assert configure(source, output, _fragment("CONFIG_NET=y\n"), COMPILER) == ()
    assert "CONFIG_NET=y" in (output / ".config").read_text()
    log = tmp_path / "log"
    assert _compile(source, output, log) == [("init/main.o", 1), ("vmlinux", 2)]
    assert (output / "arch/x86/boot/bzImage").is_file()
    assert "  LD      vmlinux\n" in log.read_text()
    told = (output / "told").read_text()
    assert "LOCALVERSION=-test CC=gcc" in told
    assert sorted(path.name for path in source.iterdir()) == ["Kconfig", "Makefile", "recipe"]
    assert not list(output.glob("afalg-*"))


def test_users_settings_do_not_reach_make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, output = write_source(tmp_path / "source"), tmp_path / "output"
    monkeypatch.setenv("LOCALVERSION", "-mine")
    monkeypatch.setenv("KCFLAGS", "-O0")
    monkeypatch.setenv("MAKEFLAGS", "--dry-run")
    monkeypatch.setenv("ARCH", "arm64")
    monkeypatch.setenv("CCACHE_DIR", "/somewhere")
    configure(source, output, _fragment("CONFIG_NET=y\n"), COMPILER)
    _compile(source, output, tmp_path / "log")
    told = (output / "told").read_text()
    assert "KCFLAGS= ARCH= CCACHE_DIR=/somewhere" in told


def test_lost_option(tmp_path: Path) -> None:
    source = write_source(tmp_path / "source")
    with pytest.raises(BuildError, match=r"CONFIG_CIPHER=y \(mine\) is n: it depends on 'NET"):
        configure(source, tmp_path / "output", _fragment("CONFIG_CIPHER=y\n"), COMPILER)


def test_cannot_be_configured(tmp_path: Path) -> None:
    source = write_source(tmp_path / "source")
    (source / "Makefile").write_text(
        "allnoconfig:\n\t@echo 'Kconfig:3: syntax error' >&2; exit 1\n"
    )
    with pytest.raises(BuildError, match=r"^configuring: make failed .*Kconfig:3: syntax error"):
        configure(source, tmp_path / "output", _fragment("CONFIG_NET=y\n"), COMPILER)


@pytest.mark.parametrize(
    ("recipe", "kind", "message"),
    [
        (
            "echo '  CC      a.o'; echo 'a.c:1:2: error: no' >&2; exit 1",
            BuildError,
            r"^does not build: a\.c:1:2: error: no \(log: .*/log\)$",
        ),
        ("true", BuildError, r"^the build ended without arch/x86/boot/bzImage \(log: .*/log\)$"),
        (
            "echo 'as: a.o: No space left on device' >&2; exit 1",
            InfrastructureError,
            r"^the build failed for lack of resources: as: a\.o: No space left on device$",
        ),
        ("kill -KILL $PPID", InfrastructureError, "lack of resources|Killed"),
    ],
)
def test_failures(
    tmp_path: Path, recipe: str, kind: type[InfrastructureError], message: str
) -> None:
    source, output = write_source(tmp_path / "source", recipe), tmp_path / "output"
    configure(source, output, _fragment("CONFIG_NET=y\n"), COMPILER)
    with pytest.raises(kind, match=message) as error:
        _compile(source, output, tmp_path / "log")
    assert type(error.value) is kind
    # What make could not tidy up after is mended before the next build.
    assert (output / "afalg-building").exists() == (kind is InfrastructureError)


def test_mended(tmp_path: Path) -> None:
    (tmp_path / "crypto").mkdir()
    old, new = tmp_path / "crypto/old.o", tmp_path / "crypto/half.o"
    now = time.time()
    for path, age in ((old, 500), (new, 20), (tmp_path / "vmlinux", 130)):
        path.write_text("x")
        os.utime(path, (now - age, now - age))
    (tmp_path / "source").symlink_to(tmp_path)
    mend(tmp_path)
    assert new.exists(), "nothing was cut short"
    mark = tmp_path / "afalg-building"
    mark.touch()
    os.utime(mark, (now - 450, now - 450))
    mend(tmp_path)
    assert [path.exists() for path in (old, new)] == [True, False]
    assert (tmp_path / "source").is_symlink()
    assert not (tmp_path / "vmlinux").exists()


def test_mending_where_there_is_nothing(tmp_path: Path) -> None:
    mend(tmp_path / "nowhere")


def test_compiler(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    found = find_compiler()
    assert found.command in ("gcc", "ccache gcc")
    assert "gcc" in found.version
    with monkeypatch.context() as patch:
        patch.setattr(kbuild, "_PROGRAMS", ("make", "no-such-program"))
        with pytest.raises(HostError, match="no-such-program is not installed; apt-get install"):
            find_compiler()
    with monkeypatch.context() as patch:
        patch.setattr(kbuild, "_HEADERS", {"no/such.h": "libsuch-dev"})
        with pytest.raises(
            HostError, match=r"no/such\.h is not installed; apt-get install libsuch-dev"
        ):
            find_compiler()
    monkeypatch.setenv("CC", "no-such-cc")
    with pytest.raises(HostError, match="no-such-cc is not installed"):
        find_compiler()
