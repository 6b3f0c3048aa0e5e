"""How a text becomes a WebSocket frame of the server: unfragmented, unmasked, uncompressed. Pure bytes, no socket."""


def frame(text: bytes) -> bytes:
    size = len(text)
    if size < 126:
        return b"\x81" + size.to_bytes(1, "big") + text
    if size < 65536:
        return b"\x81\x7e" + size.to_bytes(2, "big") + text
    return b"\x81\x7f" + size.to_bytes(8, "big") + text
