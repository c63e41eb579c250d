"""Why an option was lost, read from Kconfig files like the kernel's."""

# ruff: noqa: E101 (Kconfig indents by tabs, its help texts by two spaces more)
from __future__ import annotations

from pathlib import Path

import pytest

from harness.kernels.source.kconfig_tree import KconfigTree

KCONFIG = """\
# SPDX-License-Identifier: GPL-2.0
mainmenu "Linux/$(ARCH) Configuration"
source "scripts/Kconfig.include"
source "arch/$(SRCARCH)/Kconfig"

config EXPERT
	bool "Experts"
	select HELPER if TRACE
	help
	  Several lines of help.
	  config IN_HELP_TEXT
	  	bool "No option"

	  depends on NOTHING

config QUIET # a comment
	bool "Quiet" if EXPERT
	default y

config HELPER
	bool

config TRACE
	bool 'Trace'

menuconfig NET
	bool "Networking"
	select BASE

if NET

config UNIX
	tristate "Unix"
	depends on EXPERT && \\
		(TRACE || QUIET)

source "net/*/Kconfig"

endif # NET

config AFTER
	bool "After"
	depends on !TRACE

menu "Devices"
	depends on PCI
	depends on MMU # and not only PCI

config DISK
	tristate "Disk"
	depends on BASE

endmenu

choice
	prompt "One of"
	depends on EXPERT

config ONE
	bool "One"

config TWO
	bool "Two"

endchoice

config BASE
	bool

config CONDITIONAL
	bool "Conditional"
	depends on EXPERT if TRACE

config OLD_NAME
	bool
	transitional
	help
	  Now called NEW_NAME.

config NEW_NAME
	bool "New name"
	default OLD_NAME

config NUMBERED
	bool "Numbered"
	depends on HZ = 1000 && $(cc-option,-mfoo)

comment "Nothing can be had without PCI"
	depends on !PCI

config TWICE
	bool "Twice"
	depends on EXPERT && TRACE

config TWICE
	bool "Twice, otherwise"
	depends on PCI
"""


@pytest.fixture
def tree(tmp_path: Path) -> KconfigTree:
    """The options above, some of them in files of their own."""
    files = {
        "Kconfig": KCONFIG,
        "arch/x86/Kconfig": 'config X86\n\tdef_bool y\nsource "$(UNKNOWN)/Kconfig"\n',
        "arch/arm64/Kconfig": 'config ARM64\n\tbool "Arm"\n',
        "net/key/Kconfig": 'config NET_KEY\n\ttristate "Key"\n\tdepends on EXPERT\n',
        "scripts/Kconfig.include": "success = $(if-success,$(1),y,n)\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return KconfigTree.read(tmp_path)


@pytest.mark.parametrize(
    ("option", "wanted", "effective", "why"),
    [
        ("NOWHERE", "y", "", "this tree has no such option"),
        ("IN_HELP_TEXT", "y", "", "this tree has no such option"),
        ("ARM64", "y", "", "this tree has no such option"),
        ("UNIX", "y", "", "it depends on 'NET [=n]', 'EXPERT [=n]', '(TRACE [=n] || QUIET [=n])'"),
        ("UNIX", "y", "NET EXPERT", "it depends on '(TRACE [=n] || QUIET [=n])'"),
        ("UNIX", "y", "NET EXPERT QUIET UNIX=m", "another option, or a choice, overrides it"),
        # The condition around a source holds for what is sourced.
        ("NET_KEY", "y", "EXPERT", "it depends on 'NET [=n]'"),
        # After endif it holds no more.
        ("AFTER", "y", "TRACE", "it depends on '!TRACE [=y]'"),
        ("DISK", "y", "MMU", "it depends on 'PCI [=n]', 'BASE [=n]'"),
        ("DISK", "y", "PCI BASE", "it depends on 'MMU [=n]'"),
        ("DISK", "y", "PCI=m MMU BASE DISK=m", "it depends on 'PCI [=m]'"),
        ("ONE", "y", "", "it depends on 'EXPERT [=n]'"),
        ("ONE", "y", "EXPERT TWO", "another option, or a choice, overrides it"),
        ("HELPER", "y", "", "it cannot be set, only selected by others"),
        ("QUIET", "n", "QUIET", "it can be unset only with 'EXPERT [=n]'"),
        ("QUIET", "y", "", "it can be set only with 'EXPERT [=n]'"),
        ("BASE", "n", "BASE NET", "selected by CONFIG_NET"),
        ("BASE", "n", "BASE", "the tree sets it itself"),
        ("HELPER", "n", "HELPER EXPERT TRACE", "selected by CONFIG_EXPERT"),
        ("HELPER", "n", "HELPER EXPERT", "the tree sets it itself"),
        ("CONDITIONAL", "y", "TRACE", "it depends on '(EXPERT [=n]) || !(TRACE [=y])'"),
        ("CONDITIONAL", "y", "", "another option, or a choice, overrides it"),
        ("OLD_NAME", "y", "", "in this tree it is only the old name of another option"),
        ("NUMBERED", "y", "HZ=250", "it depends on 'HZ [=250] = 1000'"),
        ("NUMBERED", "y", "HZ=1000", "another option, or a choice, overrides it"),
        # Of two definitions the one that is closer.
        ("TWICE", "y", "", "it depends on 'PCI [=n]'"),
    ],
)
def test_explained(tree: KconfigTree, option: str, wanted: str, effective: str, why: str) -> None:
    config = {
        name: value or "y" for name, _, value in (item.partition("=") for item in effective.split())
    }
    assert tree.explain(option, wanted, config) == why


def test_known(tree: KconfigTree) -> None:
    assert tree.knows("DISK")
    assert tree.knows("X86")
    assert not tree.knows("NOWHERE")
    assert not tree.knows("OLD_NAME")
