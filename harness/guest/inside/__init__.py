"""Code that runs in the guest. It imports the standard library and pytest only."""
