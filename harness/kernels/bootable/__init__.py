"""The directory that a kernel boots from: how it is made, and what can be told from it."""
