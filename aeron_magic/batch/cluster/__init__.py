"""A batch on an executor or a cluster: coordinator, channel and remote worker."""
