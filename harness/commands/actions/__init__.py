"""What the subcommands do, each in a module named like that of its arguments."""
