"""``Client`` and ``AsyncClient``: the drivers of service flows, and the HTTP transports."""
