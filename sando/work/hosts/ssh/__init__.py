"""Nodes over SSH: a connection that stays warm, a shell that stays open on it, and what is done through them."""
