"""What the subcommands of ``kernels cache`` do."""
