"""The services, one file each, found by its name."""
