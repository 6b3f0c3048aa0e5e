"""What can go wrong, in one short tree. Refusals are values (`policy`), not exceptions."""


class SandoError(Exception):
    """The root: everything that sando raises on purpose."""


class ConfigError(SandoError):
    """A config file that cannot be used; `problems` has one line each, with file, line and next step."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class WorkError(SandoError):
    """A step of some work ended badly.

    `errored` says that it could not run (disk full, connection lost); without it, it ran and said no.
    `tail` has the last lines of its output, where there is any; `lost`: who was asked could not be reached.
    """

    def __init__(
        self, step: str, detail: str, *, errored: bool = False, tail: str = "", lost: bool = False
    ) -> None:
        super().__init__(f"{step}: {detail}")
        self.step = step
        self.detail = detail
        self.errored = errored
        self.tail = tail
        self.lost = lost


class Undelivered(SandoError):
    """A notice was not taken. `never`: it will not be, however often it is sent; `after`: not before so many seconds.

    The text names nothing of a URL but what anybody may see.
    """

    def __init__(self, text: str, *, never: bool = False, after: float = 0.0) -> None:
        super().__init__(text)
        self.never = never
        self.after = after


class Cancelled(SandoError):
    """The work was told to stop, and has stopped: nothing of it is left running."""


class StoreUnavailable(SandoError):
    """The store cannot take or give anything just now (disk full, locked, I/O error); nothing was written.

    An exception although it is expected: actors meet it at one place, their message boundary. As a value it
    would have to be looked at after each of some forty saves, and one forgotten look would tell what is not so.
    """
