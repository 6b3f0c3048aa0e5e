"""Transports to the nodes: one `Host` interface, one module a transport."""
