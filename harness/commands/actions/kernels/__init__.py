"""What the subcommands of ``kernels`` do."""
