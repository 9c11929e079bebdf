"""The services, one file each; a service is found by the name of its file."""
