"""Bootable kernel -> guest -> observations: the root image, the boot, and what comes back."""
