"""What a plan looks up outside of the store: a release's folder, the commits between two, the migrations of each."""

from msgspec import Struct

MOST_COMMITS = 50
"""So many a plan lists; whether there are more is told."""


class Journey(Struct, frozen=True):
    """From the release that a tier is on to the one that it would be on; `old` is None where there is none.

    `folder` is where a release keeps its migrations.
    """

    new: str
    new_sha: str
    old: str | None = None
    old_sha: str = ""
    folder: str = "migrations"


class Change(Struct, frozen=True):
    """A commit, its text made harmless."""

    sha: str
    author: str
    subject: str


class Changes(Struct, frozen=True):
    """Newest first; `more`: there are further ones."""

    commits: tuple[Change, ...] = ()
    more: bool = False


class Survey(Struct, frozen=True):
    """`problem` is the contract's code and what is wrong with the new release; None: it is what was built.

    The others are None where nobody can tell: git does not know a commit any more, a manifest is gone.
    """

    problem: tuple[str, str] | None = None
    out: Changes | None = None
    """What the new release has and the old one has not."""
    back: Changes | None = None
    """What the old one has and the new one has not."""
    migrations: tuple[str, ...] | None = None
    """Those that the new release brings."""
    migrations_back: tuple[str, ...] | None = None
    """Those that only the old one has; a way back does not undo them."""
