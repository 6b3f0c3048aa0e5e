"""Tiers and nodes of sando.toml, and what must hold between them."""

from collections.abc import Callable

import pytest

Problems = Callable[..., tuple[str, ...]]

HEAD = """\
[repo]
bare_path = "/srv/app.git"
[[tier]]
name = "mm"
provisioned = true
"""
TIER = HEAD + '[[tier]]\nname = "a"\nprovisioned = true\n'
NODE = TIER + '[[tier.node]]\nname = "n"\nssh_target = "local"\nrelease_root = "/srv/n"\n'

TIERS = [
    ("name = 'a'\nprovisioned = false\n[[tier]]\nname = 'a'\nprovisioned = false", "10: tier.a.name: a tier 'a' stands"),
    ("name = 'all'\nprovisioned = false", "7: tier.all.name: is 'all', no tier's name"),
    ("name = 'A'\nprovisioned = false", "7: tier.A.name: is 'A', no tier's name"),
    ("name = 'а'\nprovisioned = false", "7: tier.а.name: is 'а', no tier's name"),  # a Cyrillic look-alike
    ("name = 1\nprovisioned = false", "7: tier[1].name: is an integer, must be a string"),
    ("provisioned = false", '6: tier[1].name: missing; add name = "a"'),
    ("name = 'a'", "6: tier.a.provisioned: missing; add provisioned = true"),
    ("name = 'a'\nprovisioned = true", "6: tier.a: is provisioned and has no nodes; add [[tier.node]]"),
    ("name = 'a'\nprovisioned = 1", "8: tier.a.provisioned: is an integer, must be true or false"),
    ("name = 'a'\nprovisioned = false\nnode = []", "9: tier.a.node: has no nodes in it"),
    ("name = 'a'\nprovisioned = false\nnode = 'x'", "9: tier.a.node: is a string, must be a list of tables"),
    ("name = 'a'\nprovisioned = false\ncanary = 'paralel'", "9: tier.a.canary: unknown value 'paralel'; did you mean"),
    ("name = 'a'\nprovisioned = false\non_failure = 'stop'", "9: tier.a.on_failure: unknown value 'stop'; use one of"),
    ("name = 'a'\nprovisioned = false\ncanary_hold = '-1s'", "9: tier.a.canary_hold: is '-1s', no duration"),
    ("name = 'a'\nprovisioned = false\nkeep_releases = 0", "9: tier.a.keep_releases: is 0, must be from 1"),
    ("name = 'a'\nprovisioned = false\nkeep_releases = nan", "9: tier.a.keep_releases: is a decimal number, must be"),
    ("name = 'a'\nprovisioned = false\nconfirm_within = 0", "9: tier.a.confirm_within: must be longer than zero"),
    ("name = 'a'\nprovisioned = false\ntimeout = '0s'", "9: tier.a.timeout: must be longer than zero"),
    ("name = 'a'\nprovisioned = false\nonce = []", "9: tier.a.once: is empty, must be a command"),
    ("name = 'a'\nprovisioned = false\nrestart = \"a\\u0000\"", "9: tier.a.restart: has control characters: 'a\\x00'"),
    ("name = 'a'\nprovisioned = false\nprobe = { http = 'http://h:{port}/' }", "9: tier.a.probe.http: "),
]  # fmt: skip


@pytest.mark.parametrize("tier, said", TIERS)
def test_a_wrong_tier_is_told(tier: str, said: str, problems: Problems) -> None:
    found = problems(HEAD + "[[tier]]\n" + tier)
    assert len([line for line in found if line.startswith(f"sando.toml:{said}")]) == 1


def test_the_first_tier_builds_so_it_is_provisioned(problems: Problems) -> None:
    (found,) = problems(HEAD.replace("true", "false"))
    assert (
        found
        == "sando.toml:5: tier.mm.provisioned: the first tier builds, so it must be; set provisioned = true"
    )


def test_the_first_tier_may_have_nodes(problems: Problems) -> None:
    assert problems(NODE.replace('[[tier]]\nname = "a"\nprovisioned = true\n', "")) == ()


def _node(name: str, target: str, root: str) -> str:
    return f'[[tier.node]]\nname = "{name}"\nssh_target = "{target}"\nrelease_root = "{root}"\n'


@pytest.mark.parametrize(
    "first, second, said",
    [
        (
            ("n", "local", "/a"),
            ("n", "local", "/b"),
            "14: tier.a.node.n.name: the tier has a node 'n' already",
        ),
        (
            ("n", "local", "/a"),
            ("m", "local", "/a/"),
            "16: tier.a.node.m.release_root: is node a/n's folder too",
        ),
        (
            ("n", "u@h", "/a"),
            ("m", "v@H:22", "/a"),
            "16: tier.a.node.m.release_root: is node a/n's folder too",
        ),
        (
            ("n", "u@h", "/a"),
            ("m", "u@h", "/a/b"),
            "16: tier.a.node.m.release_root: lies inside node a/n's folder",
        ),
        (
            ("n", "u@h", "/a/b/c"),
            ("m", "u@h", "/a"),
            "12: tier.a.node.n.release_root: lies inside node a/m's folder",
        ),
        (("n", "local", "/a"), ("m", "host", "/b"), "15: tier.a.node.m.ssh_target: is 'host', must be"),
        (
            ("n", "local", "/a"),
            ("m", "local", "b"),
            "16: tier.a.node.m.release_root: is 'b', must be an absolute",
        ),
        (("n", "local", "/a"), ("M", "local", "/b"), "14: tier.a.node.M.name: is 'M', no node's name"),
    ],
)
def test_nodes_that_are_in_each_others_way_are_told(
    first: tuple[str, str, str], second: tuple[str, str, str], said: str, problems: Problems
) -> None:
    (found,) = problems(TIER + _node(*first) + _node(*second))
    assert found.startswith(f"sando.toml:{said}")


@pytest.mark.parametrize(
    "first, second",
    [
        (("n", "u@h", "/a"), ("m", "u@i", "/a")),
        (("n", "u@h:22", "/a"), ("m", "u@h:23", "/a")),
        (("n", "local", "/a"), ("m", "local", "/ab")),
    ],
)
def test_nodes_with_folders_of_their_own_are_fine(
    first: tuple[str, str, str], second: tuple[str, str, str], problems: Problems
) -> None:
    assert problems(TIER + _node(*first) + _node(*second)) == ()


def test_nodes_of_different_tiers_may_share_a_name_but_no_folder(problems: Problems) -> None:
    second = NODE + '[[tier]]\nname = "b"\nprovisioned = true\n'
    assert problems(second + _node("n", "local", "/srv/other")) == ()
    (found,) = problems(second + _node("n", "local", "/srv/n"))
    assert found.startswith("sando.toml:19: tier.b.node.n.release_root: is node a/n's folder too")


@pytest.mark.parametrize("root", ["/store", "/store/x"])
def test_a_local_node_is_not_in_the_release_store(root: str, problems: Problems) -> None:
    (found,) = problems(TIER + _node("n", "local", root), store="/store")
    assert "overlaps the release store /store" in found
    assert problems(TIER + _node("n", "u@h", root), store="/store") == ()


def test_the_release_store_is_not_where_a_local_node_keeps_its_releases(problems: Problems) -> None:
    assert len(problems(TIER + _node("n", "local", "/srv"), store="/srv/releases")) == 1
    assert problems(TIER + _node("n", "local", "/srv"), store="/srv/store") == ()
