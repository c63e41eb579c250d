"""What a kernel's image and its config say."""
