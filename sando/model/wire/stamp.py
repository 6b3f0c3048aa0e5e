"""How a time is written in an answer."""

from typing import Annotated

from msgspec import Meta

Stamp = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]
"""RFC 3339 in UTC, as `sando.model.clock.stamp` makes it."""
