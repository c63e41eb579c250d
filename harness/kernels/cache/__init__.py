"""The kernels that were made before, and whatever else the cache holds."""
