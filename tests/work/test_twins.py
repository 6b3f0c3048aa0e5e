"""Two nodes that are one place: what the files alone give away."""

import subprocess
from pathlib import Path

import pytest

from sando.model.topology import NodeSpec
from sando.work.hosts.ssh.twins import twins
from tests.factories import tier, topology


@pytest.fixture
def known_hosts(tmp_path: Path) -> str:
    """prod-1 and 10.0.0.5 show one key, prod-2 another; one name is hashed."""
    lines = []
    for name, hosts in (("one", ["prod-1", "10.0.0.5", "[prod-1]:2222"]), ("two", ["prod-2"])):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / name], check=True)
        kind, key, *_ = (tmp_path / f"{name}.pub").read_text().split()
        lines += [f"{host} {kind} {key}" for host in hosts]
    path = tmp_path / "known_hosts"
    path.write_text("\n".join(lines) + "\n")
    subprocess.run(["ssh-keygen", "-q", "-H", "-f", path], check=True, capture_output=True)
    return str(path)


def told(known_hosts: str | None, *places: tuple[str, str]) -> list[str]:
    nodes = tuple(
        NodeSpec(f"n-{n}", target, root, known_hosts=known_hosts) for n, (target, root) in enumerate(places)
    )
    return list(twins(topology(tier("a", 0, nodes=nodes[:1]), tier("b", 0, nodes=nodes[1:]))))


def test_two_names_of_one_host_key_with_one_release_root_are_warned_of(known_hosts: str) -> None:
    (line,) = told(known_hosts, ("max@prod-1", "/srv/app"), ("max@10.0.0.5", "/srv/app"))
    assert line.startswith(
        "n-0 of tier a and n-1 of tier b have the same release_root /srv/app, and known_hosts"
    )
    assert line.endswith("give each a folder of its own")
    assert told(known_hosts, ("max@prod-1", "/srv/app"), ("ada@prod-1:2222", "/srv/app"))


@pytest.mark.parametrize(
    "places",
    [
        [("max@prod-1", "/srv/app"), ("max@prod-2", "/srv/app")],
        [("max@prod-1", "/srv/app"), ("max@10.0.0.5", "/srv/other")],
        [("max@prod-9", "/srv/app"), ("max@prod-8", "/srv/app")],
        [("local", "/srv/app"), ("max@prod-1", "/srv/app")],
    ],
)
def test_others_are_not(known_hosts: str, places: list[tuple[str, str]]) -> None:
    assert told(known_hosts, *places) == []


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "127.0.0.2:2222"])
def test_a_local_node_and_one_that_is_reached_over_loopback_are_one_machine(host: str) -> None:
    (line,) = told(None, ("local", "/srv/app"), (f"max@{host}", "/srv/app"))
    assert f"max@{host} is this machine" in line


def test_a_known_hosts_that_is_not_there_says_nothing() -> None:
    assert told("/nowhere/known_hosts", ("max@prod-1", "/srv/app"), ("max@prod-2", "/srv/app")) == []
