"""The image, modules and config of a kernel, in the places where they lie."""
