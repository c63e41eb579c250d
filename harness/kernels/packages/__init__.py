"""Packages of each distribution's format, and the kernel that some of them make up."""
