"""The name of a release: the declared one once, then with its sha, then counted; what is green is never reused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sando.model.names import is_version
from sando.model.release import FileEntry, Manifest, name_release
from tests.model.samples import NOON

A, B = "1a2b3c4" + "0" * 33, "9f8e7d6" + "0" * 33
A2 = "1a2b3c4" + "1" * 33  # another sha that begins as A does


@pytest.mark.parametrize(
    ("declared", "sha", "taken", "name"),
    [
        ("0.8.2", A, {}, "0.8.2"),
        ("0.8.2", A, {"0.8.1": A}, "0.8.2"),
        ("0.8.2", B, {"0.8.2": A}, "0.8.2+g9f8e7d6"),
        ("0.8.2", B, {"0.8.2": A, "0.8.2+g9f8e7d6": B}, "0.8.2+g9f8e7d6.2"),
        ("0.8.2", B, {"0.8.2": A, "0.8.2+g9f8e7d6": B, "0.8.2+g9f8e7d6.2": B}, "0.8.2+g9f8e7d6.3"),
        ("0.8.2", A, {"0.8.2": A}, "0.8.2+g1a2b3c4.2"),
        ("0.8.2", A2, {"0.8.2": B, "0.8.2+g1a2b3c4": A}, "0.8.2+g1a2b3c4.2"),
        ("1.0+5", A, {"1.0+5": B}, "1.0+5.g1a2b3c4"),
    ],
)
def test_a_release_is_named(declared: str, sha: str, taken: dict[str, str], name: str) -> None:
    assert name_release(declared, sha, taken) == name


@given(
    st.lists(st.tuples(st.sampled_from(["1.0", "1.1", "1.0+x"]), st.sampled_from([A, A2, B])), max_size=30)
)
def test_no_green_release_is_ever_overwritten_and_every_name_is_one(builds: list[tuple[str, str]]) -> None:
    taken: dict[str, str] = {}
    for declared, sha in builds:
        name = name_release(declared, sha, taken)
        assert name not in taken
        assert is_version(name)
        assert name.startswith(declared)
        taken[name] = sha


@given(st.sampled_from(["1.0", "1.1"]), st.sampled_from([A, B]))
def test_a_name_that_was_not_kept_is_given_again(declared: str, sha: str) -> None:
    assert name_release(declared, sha, {}) == name_release(declared, sha, {}) == declared


def test_the_size_of_a_release_is_that_of_its_files() -> None:
    files = (FileEntry("server", 5, 0o755, "0" * 64), FileEntry("migrations/1.sql", 7, 0o644, "0" * 64))
    assert Manifest("1", A, "main", "max", "fix", NOON, "mm", files).bytes == 12
