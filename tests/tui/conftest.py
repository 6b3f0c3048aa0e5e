"""A daemon that does as it is told, for each test."""

from tests.client.conftest import puppet

__all__ = ["puppet"]
