"""Kernel spec to bootable kernel: parse, fetch, unpack, prepare, keep."""
