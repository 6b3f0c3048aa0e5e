"""The dashboard and the alert rules of contrib/ against the metrics that a real sandod exports: no name, no label is made up."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from tests.system.workspace import tier

CONTRIB = Path(__file__).resolve().parents[2] / "contrib"
RULES = CONTRIB / "prometheus" / "sandod.rules.yml"
DASHBOARD = CONTRIB / "grafana" / "sandod.json"

METRIC = re.compile(r"\b(sando_\w+)(?:\{([^}]*)\})?")
MATCHER = re.compile(r'(\w+)\s*(?:=~|!~|!=|=)\s*"([^"]*)"')
GROUPED = re.compile(r"\b(?:by|on|without|ignoring)\s*\(([^)]*)\)")
SHOWN = re.compile(r"\{\{\s*(?:\$labels\.)?([a-z_]+)\s*\}\}")
OF_EVERY_SCRAPE = {"job", "instance"}


class Use(NamedTuple):
    """One expression, and the labels that its legend or annotations show."""

    where: str
    expr: str
    shown: frozenset[str]


def rules() -> Iterator[Use]:
    for group in yaml.safe_load(RULES.read_text())["groups"]:
        for rule in group["rules"]:
            yield Use(
                rule["alert"], rule["expr"], frozenset(SHOWN.findall(" ".join(rule["annotations"].values())))
            )


def panels() -> Iterator[Use]:
    board = json.loads(DASHBOARD.read_text())
    for panel in board["panels"]:
        for target in panel.get("targets", ()):
            yield Use(panel["title"], target["expr"], frozenset(SHOWN.findall(target["legendFormat"])))
    for note in board["annotations"]["list"]:
        yield Use(note["name"], note["expr"], frozenset(SHOWN.findall(note["titleFormat"])))
    for variable in board["templating"]["list"]:
        if variable["type"] == "query":
            yield Use(variable["name"], variable["query"]["query"], frozenset())


USES = [*rules(), *panels()]


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, set[str]]]:
    """Each sample's name with its labels and their values, of a sandod that has done a bit of everything."""
    from tests.system.workspace import Workspace

    root = tmp_path_factory.mktemp("exported") / "ws"
    root.mkdir()
    sandod = Workspace(root)
    try:
        gates = 'gates = [ { kind = "burn_in", duration = "1h" } ]\n'
        sandod.configure(tier("a", 1, gates)).start()
        sandod.bring("1.0", "a")
        sandod.bring("1.1", "a")
        assert sandod.post("/rollback/a?wait=60").status == 200
        text = sandod.get("/metrics").body
    finally:
        sandod.finish()
    found: dict[str, dict[str, set[str]]] = {}
    for family in text_string_to_metric_families(text):
        found.setdefault(family.name, {})
        for sample in family.samples:
            labels = found.setdefault(sample.name, {})
            for name, value in sample.labels.items():
                labels.setdefault(name, set()).add(value)
    return found


@pytest.mark.parametrize("use", USES, ids=lambda use: use.where)
def test_every_name_and_label_is_one_that_sandod_exports(use: Use, exported: Any) -> None:
    used = METRIC.findall(use.expr)
    assert used or "up{" in use.expr
    known: set[str] = set()
    for name, matchers in used:
        assert name in exported, f"{use.where}: there is no {name}"
        labels = exported[name]
        known |= set(labels)
        for label, _ in MATCHER.findall(matchers):
            assert label in labels, f"{use.where}: {name} has no label {label}"
    grouped = {word.strip() for words in GROUPED.findall(use.expr) for word in words.split(",")}
    assert (grouped | use.shown) - OF_EVERY_SCRAPE <= known | (
        {"tier"} if "label_values" in use.expr else set()
    )


@pytest.mark.parametrize("label", ["status", "result", "outcome", "actor", "kind"])
def test_what_is_matched_word_for_word_is_a_word_of_sandod(label: str, exported: Any) -> None:
    from sando.metrics import ACTORS, DEPLOY_KINDS, RESULTS, TIER_STATUSES
    from sando.model.gates import Outcome
    from sando.model.topology import GATE_KINDS

    words = {
        "status": set(TIER_STATUSES),
        "result": set(RESULTS),
        "outcome": set(Outcome),
        "actor": {*ACTORS, "root"},
        "kind": {*DEPLOY_KINDS, *GATE_KINDS},
    }[label]
    values = (
        v for u in USES for _, m in METRIC.findall(u.expr) for name, v in MATCHER.findall(m) if name == label
    )
    assert {word for value in values for word in value.split("|") if "$" not in word} <= words
    assert all(set(labels.get(label, ())) <= words for labels in exported.values())


def test_every_metric_is_shown_somewhere(exported: Any) -> None:
    """But for the parts of a histogram that its buckets stand for."""
    used = {name for use in USES for name, _ in METRIC.findall(use.expr)}
    bare = {re.sub("_(bucket|total)$", "", name) for name in used}
    families = {re.sub("_(bucket|sum|count|created|total)$", "", name) for name in exported}
    assert families - bare == set()


def test_names_are_given_once_and_each_alert_says_what_to_do() -> None:
    names = [use.where for use in rules()]
    assert len(names) == len(set(names)) > 8
    for group in yaml.safe_load(RULES.read_text())["groups"]:
        for rule in group["rules"]:
            assert set(rule) - {"for"} == {"alert", "expr", "labels", "annotations"}
            assert set(rule["annotations"]) == {"summary", "description"}
            assert rule["labels"]["severity"] in {"critical", "warning", "info"}
    if promtool := shutil.which("promtool"):
        done = subprocess.run(
            [promtool, "check", "rules", RULES], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_panels_have_ids_of_their_own_and_lie_beside_each_other() -> None:
    board = json.loads(DASHBOARD.read_text())
    ids = [panel["id"] for panel in board["panels"]]
    assert len(ids) == len(set(ids))
    taken: set[tuple[int, int]] = set()
    for panel in board["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert at["x"] + at["w"] <= 24
        assert not cells & taken, panel["title"]
        taken |= cells
