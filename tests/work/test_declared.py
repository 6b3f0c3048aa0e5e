import pytest

from sando.model.errors import WorkError
from sando.work.declared import declared_version


def never():
    raise AssertionError


@pytest.mark.parametrize(
    ("path", "text", "version"),
    [
        ("Cargo.toml", '[package]\nname = "x"\nversion = "0.8.2"\n', "0.8.2"),
        ("Cargo.toml", '[workspace]\nmembers = ["a"]\n[workspace.package]\nversion = "1.1"\n', "1.1"),
        ("Cargo.toml", '[package]\nversion.workspace = true\n[workspace.package]\nversion = "1.2"\n', "1.2"),
        ("pyproject.toml", '[project]\nversion = "2.0rc1"\n', "2.0rc1"),
        ("pyproject.toml", '[tool.poetry]\nversion = "2.1"\n', "2.1"),
        ("package.json", '{"version": "3.0.0-beta.1+x"}', "3.0.0-beta.1+x"),
        ("VERSION", "  4.0 \nmore\n", "4.0"),
        ("VERSION", "\ufeff4.1\r\n", "4.1"),
        ("deep/version.txt", "5", "5"),
    ],
)
def test_the_version_is_read_from_what_the_team_keeps_it_in(tmp_path, path, text, version):
    file = tmp_path / "server" / path
    file.parent.mkdir(parents=True)
    file.write_text(text)
    assert declared_version(tmp_path, "server", path, never) == version


@pytest.mark.parametrize("named", ["", 'workspace = "../.."\n'])
def test_a_workspace_above_gives_the_version(tmp_path, named):
    crate = tmp_path / "crates" / "server"
    crate.mkdir(parents=True)
    (crate / "Cargo.toml").write_text(f"[package]\nversion = {{ workspace = true }}\n{named}")
    (tmp_path / "crates" / "Cargo.toml").write_text('[package]\nversion = "9"\n')
    (tmp_path / "Cargo.toml").write_text('[workspace]\n[workspace.package]\nversion = "0.8.2"\n')
    assert declared_version(tmp_path, "crates/server", "Cargo.toml", never) == "0.8.2"


def test_git_is_asked_for_the_version(tmp_path):
    assert declared_version(tmp_path, "server", "git", lambda: "v1-2-gabc") == "v1-2-gabc"
    with pytest.raises(WorkError, match="'a b' of git describe cannot name"):
        declared_version(tmp_path, "server", "git", lambda: "a b")


@pytest.mark.parametrize(
    ("path", "text", "words"),
    [
        ("Cargo.toml", "[package]\n", r"Cargo.toml has no \[package\] version: add it"),
        ("Cargo.toml", "[package]\nversion.workspace = true\n", "has no workspace with"),
        ("Cargo.toml", "[workspace]\n", r"has no \[workspace.package\] version"),
        ("Cargo.toml", "not toml", "cannot understand Cargo.toml: "),
        ("Cargo.toml", '[package]\nversion = "../x"\n', "'../x' of Cargo.toml cannot name a release"),
        ("pyproject.toml", '[project]\ndynamic = ["version"]\n', r"has no \[project\] version"),
        ("package.json", "[" * 100_000, "cannot understand package.json"),
        ("package.json", "[]", 'has no "version"'),
        ("package.json", '{"version": 3}', 'has no "version"'),
        ("VERSION", "", "'' of VERSION cannot name"),
        ("VERSION", "x" * 2**21, "cannot name"),
    ],
)
def test_what_declares_nothing_usable_is_named(tmp_path, path, text, words):
    (tmp_path / path).write_text(text)
    with pytest.raises(WorkError, match=words) as caught:
        declared_version(tmp_path, ".", path, never)
    assert not caught.value.errored
    assert len(str(caught.value)) < 500


def test_a_missing_file_is_named_with_the_nearest_one(tmp_path):
    (tmp_path / "cargo.toml").write_text("")
    with pytest.raises(
        WorkError, match=r"there is no Cargo.toml \(\[build\] version_from\); did you mean 'cargo.toml'"
    ):
        declared_version(tmp_path, ".", "Cargo.toml", never)


@pytest.mark.parametrize("target", ["/etc/hostname", "../outside"])
def test_a_version_is_never_read_through_a_link_that_leads_out(tmp_path, target):
    (tmp_path / "outside").write_text("1.0")
    root = tmp_path / "checkout"
    root.mkdir()
    (root / "VERSION").symlink_to(target)
    with pytest.raises(WorkError, match="leads out of the checkout"):
        declared_version(root, ".", "VERSION", never)
    with pytest.raises(WorkError, match="leads out of the checkout"):
        declared_version(root, ".", target, never)
