"""Paths to keys: as they stand, or what systemd hands over; nothing else is expanded."""

from pathlib import Path

import pytest

from sando.config import load_topology

WITH_KEY = '"deploy@prod-1.example:22"\nidentity_file = "{}"'


def with_key(text: str, path: str) -> str:
    return text.replace('"deploy@prod-1.example:22"', WITH_KEY.format(path), 1)


def test_a_credential_is_found_in_the_folder_that_systemd_names(tmp_path, monkeypatch, topology_text) -> None:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", "/run/credentials/sandod.service")
    path: Path = tmp_path / "sando.toml"
    both = topology_text.replace('"/etc/sando/id"', '"${CREDENTIALS_DIRECTORY}/backup.key"', 1)
    path.write_text(with_key(both, "${CREDENTIALS_DIRECTORY}/id_ed25519"))
    topology = load_topology(path, tokens=True)
    assert topology.backup
    assert topology.backup.identity_file == "/run/credentials/sandod.service/backup.key"
    assert topology.tiers[1].nodes[0].identity_file == "/run/credentials/sandod.service/id_ed25519"


@pytest.mark.parametrize(
    "path",
    [
        "$CREDENTIALS_DIRECTORY/id", "${HOME}/.ssh/id", "${CREDENTIALS_DIRECTORY}/../id", "${CREDENTIALS_DIRECTORY}/",
        "${CREDENTIALS_DIRECTORY}/a/b", "${CREDENTIALS_DIRECTORY}/.id", "${CREDENTIALS_DIRECTORY}", "$(id)", "relative",
    ],
)  # fmt: skip
def test_no_other_variable_and_no_path_below_is_expanded(
    problems, topology_text, monkeypatch, path: str
) -> None:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", "/run/credentials/sandod.service")
    (told,) = problems(with_key(topology_text, path))
    assert "identity_file" in told
    assert "absolute path" in told


@pytest.mark.parametrize("folder", [None, "", "relative"])
def test_without_systemd_the_next_step_is_told(problems, topology_text, monkeypatch, folder) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    if folder is not None:
        monkeypatch.setenv("CREDENTIALS_DIRECTORY", folder)
    (told,) = problems(with_key(topology_text, "${CREDENTIALS_DIRECTORY}/id"))
    assert "LoadCredential=id:/etc/sando/credentials/id" in told
