"""The composition root of sandod. Nothing imports it; `main` is the command, `program` what it does."""

import gc


def main(argv: list[str] | None = None) -> int:
    """Everything is imported here: a sixth of the start would go to looking for garbage among what lives for ever."""
    gc.disable()
    from sando.daemon.program import run  # noqa: PLC0415

    gc.enable()
    return run(argv)
