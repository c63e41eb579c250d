# "make afalg-check" in a kernel tree: tests what was built in it. Without a change of the tree:
#
#   make -f ~/afalg-harness/ci/make/afalg.mk afalg-check [O=DIR] [AFALG_BASELINE=KERNEL] ...
#
# Or as a target of the tree's own, by this line at the end of its Makefile:
#
#   include ~/afalg-harness/ci/make/afalg.mk
#
# What other AFALG_... variables there are stands at the top of ci/check-kernels.sh. make itself
# ends with 2 whatever went wrong; the line "afalg: regression (1)", say, has the exit code.
afalg_directory := $(dir $(abspath $(lastword $(MAKEFILE_LIST))))

# The kernel's Makefile calls itself once more where O= is; this is for that second call.
ifeq ($(need-sub-make),)
# In that one, and wherever the kernel's Makefile includes this, objtree is what was built in.
afalg_tree := $(abspath $(or $(objtree),$(O),.))
# The kernel's .gitignore has all names that begin with a dot.
AFALG_OUT ?= $(afalg_tree)/.afalg/$(shell date -u +%Y%m%dT%H%M%SZ)

PHONY += afalg-check
.PHONY: afalg-check
afalg-check: export AFALG_TREE = $(afalg_tree)
afalg-check: export AFALG_OUT := $(AFALG_OUT)
afalg-check: export AFALG_BASELINE := $(AFALG_BASELINE)
afalg-check: export AFALG_SUITES := $(AFALG_SUITES)
afalg-check: export AFALG_EXPECTATIONS := $(AFALG_EXPECTATIONS)
afalg-check: export AFALG_LABEL := $(AFALG_LABEL)
afalg-check: export AFALG_ARGUMENTS := $(AFALG_ARGUMENTS)
afalg-check:
	@'$(afalg_directory)../check-kernels.sh'
endif
