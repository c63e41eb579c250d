"""What ``afalg-harness runs`` does."""
