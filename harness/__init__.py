"""Boots Linux kernels in lightweight VMs, tests AF_ALG in each, and compares the results.

The packages follow the data: ``kernels`` (kernel spec -> bootable kernel), ``guest``
(bootable kernel -> observations), ``judge`` (observations -> verdict and changes),
``report`` (results -> files and tables).
"""
