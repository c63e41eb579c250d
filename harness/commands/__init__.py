"""The subcommands: each module says what one is for, and which arguments it takes."""
