"""Blocking work as plain functions: they take a cancel token, read top to bottom, and know no actor."""
