"""A source tree of a few lines that make and ``vng --build`` take for a kernel's."""

from __future__ import annotations

from pathlib import Path

KCONFIG = """\
config NET
	bool "Net"
config CIPHER
	bool "Cipher"
	depends on NET
"""
#: allnoconfig grants what depends on nothing; everything else is up to the recipe.
MAKEFILE = """\
SETTINGS = KCFLAGS=$(KCFLAGS) ARCH=$(ARCH) CCACHE_DIR=$(CCACHE_DIR)
all:
	@sh $(CURDIR)/recipe $(O) "LOCALVERSION=$(LOCALVERSION) CC=$(CC) $(SETTINGS)"
allnoconfig:
	@grep -v CIPHER $(KCONFIG_ALLCONFIG) > $(O)/.config
"""
BUILDS = """\
echo '  CC      init/main.o'
echo '  LD      vmlinux'
mkdir -p $1/arch/x86/boot
cp ${0%recipe}image $1/arch/x86/boot/bzImage 2>/dev/null || echo image > $1/arch/x86/boot/bzImage
echo "$2" > $1/told
"""


def write_source(place: Path, recipe: str = BUILDS) -> Path:
    """Write a tree to ``place``; its build runs the shell commands ``recipe``.

    They get the output directory as $1, and settings of make as $2.
    """
    place.mkdir(exist_ok=True)
    (place / "Kconfig").write_text(KCONFIG)
    (place / "Makefile").write_text(MAKEFILE)
    (place / "recipe").write_text(recipe)
    return place
