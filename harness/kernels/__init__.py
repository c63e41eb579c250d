"""Kernel spec to bootable kernel.

``resolve.py`` goes the whole way: it parses a spec (``spec.py``), gets the packages that it
names from Debian's archive (``archive``) or builds its revision (``source``), unpacks packages
(``packages``), finds the kernel's parts where they lie (``parts``, which reads images:
``image``), makes a bootable kernel of them (``bootable``) and keeps that (``cache``).
"""
