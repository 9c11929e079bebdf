"""Sans-I/O core of a service call: steps, events, framing, retry rules."""
