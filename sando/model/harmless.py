"""JSON as it leaves: what a terminal would act upon, or not show, is escaped; the values that are read stay the same."""

import re

# What `names.visible` shows, in UTF-8: DEL and C1, soft hyphen, Arabic letter mark, Mongolian vowel separator, zero-width
# and bidi characters, line and paragraph separators, byte order mark, annotations, formats of shorthand and music, tags.
# JSON itself escapes what lies below a space.
_HIDDEN = re.compile(
    rb"\x7f|\xc2[\x80-\x9f\xad]|\xd8\x9c|\xe1\xa0\x8e|\xe2\x80[\x8b-\x8f\xa8-\xae]|\xe2\x81[\xa0-\xaf]"
    rb"|\xef\xbb\xbf|\xef\xbf[\xb9-\xbb]|\xf0\x9b\xb2[\xa0-\xa3]|\xf0\x9d\x85[\xb3-\xba]|\xf3\xa0[\x80-\xbf]{2}"
)


def harmless(json: bytes) -> bytes:
    """The same JSON. Characters like these stand in texts only, so an escape says the same."""
    if json.isascii() and b"\x7f" not in json:
        return json
    return _HIDDEN.sub(_escaped, json)


def _escaped(found: re.Match[bytes]) -> bytes:
    units = found[0].decode().encode("utf-16-be")
    return b"".join(b"\\u" + units[i : i + 2].hex().encode() for i in range(0, len(units), 2))
