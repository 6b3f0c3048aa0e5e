"""Gates of sando.toml: each kind has its own keys, and each wrong one is told."""

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

GATES = [
    ("'x'", "gates[0]: is 'x', must be a table"),
    ("{}", 'gates[0].kind: missing; add kind = "cargo_test"'),
    ("{ kind = 'cargo_tests' }", "gates.cargo_tests.kind: unknown gate kind 'cargo_tests'; did you mean 'cargo_test'?"),
    ("{ kind = 'zzzzz' }", "gates.zzzzz.kind: unknown gate kind 'zzzzz'; use one of cargo_test, command,"),
    ("{ kind = 1 }", "gates[0].kind: is an integer, must be a string"),
    ("{ kind = 'command' }", "gates.command.command: missing; add command ="),
    ("{ kind = 'command', command = '' }", "gates.command.command: is empty"),
    ("{ kind = 'command', command = 'x', shards = 0 }", "gates.command.shards: is 0, must be from 1 to 64"),
    ("{ kind = 'command', command = 'x', shards = 65 }", "gates.command.shards: is 65, must be from 1 to 64"),
    ("{ kind = 'command', command = 'x', shards = true }", "gates.command.shards: is true or false, must be an integer"),
    ("{ kind = 'command', command = 'x', on = 'node' }", "gates.command.on: unknown value 'node'; did you mean 'nodes'?"),
    ("{ kind = 'command', command = 'x', on = 'nodes' }", "gates: the gate command runs on nodes, and there are none"),
    ("{ kind = 'command', command = 'x', duration = '1h' }", "gates.command.duration: unknown key of a command gate"),
    ("{ kind = 'cargo_test', timeout = '0s' }", "gates.cargo_test.timeout: must be longer than zero"),
    ("{ kind = 'migration_dry_run', dir = '/x' }", "gates.migration_dry_run.dir: is '/x', must be a relative path"),
    ("{ kind = 'boot_smoke', env = { 'A B' = 'x' } }", "gates.boot_smoke.env.A B: is no variable's name"),
    ("{ kind = 'boot_smoke', env = { A = 1 } }", "gates.boot_smoke.env.A: is an integer, must be a string"),
    ("{ kind = 'boot_smoke', args = 'x' }", "gates.boot_smoke.args: is a string, must be a list"),
    ("{ kind = 'boot_smoke', probe = {} }", "gates.boot_smoke.probe: needs exactly one of http, tcp, command, has none"),
    ("{ kind = 'boot_smoke', probe = 'x' }", "gates.boot_smoke.probe: is a string, must be a table"),
    ("{ kind = 'boot_smoke', probe = { tcp = 'h:1', command = 'x' } }", "gates.boot_smoke.probe: needs exactly one of"),
    ("{ kind = 'boot_smoke', probe = { tcp = 'h' } }", "gates.boot_smoke.probe.tcp: is 'h', without a port"),
    ("{ kind = 'burn_in' }", 'gates.burn_in.duration: missing; add duration = "24h"'),
    ("{ kind = 'burn_in', duration = '' }", "gates.burn_in.duration: is '', no duration"),
    ("{ kind = 'burn_in', duration = inf }", "gates.burn_in.duration: is a decimal number, must be a duration"),
    ("{ kind = 'manual_confirm', min_approvals = 0 }", "gates.manual_confirm.min_approvals: is 0, must be from 1"),
    ("{ kind = 'manual_confirm', min_approvals = 2 }", "gates.manual_confirm.min_approvals: more than 1 needs tokens"),
    ("{ kind = 'manual_confirm' }, { kind = 'manual_confirm' }", "gates.manual_confirm.name: the tier has a gate"),
    ("{ kind = 'manual_confirm', name = 'A' }", "gates.A.name: is 'A', no gate's name"),
]  # fmt: skip


@pytest.mark.parametrize("gate, said", GATES)
def test_a_wrong_gate_is_told(gate: str, said: str, problems: Problems) -> None:
    (found,) = problems(HEAD + f"gates = [ {gate} ]", tokens=False)
    assert found.startswith(f"sando.toml:6: tier.mm.{said}")


def test_backup_fresh_needs_a_backup_and_an_age(problems: Problems) -> None:
    gate = "gates = [ { kind = 'backup_fresh' } ]\n"
    backup = "[backup]\nsource = 'file:///b'\nlocal_path = '/l'\n"
    assert len(problems(HEAD + gate)) == 2
    (found,) = problems(HEAD + gate + backup)
    assert 'gates.backup_fresh.max_age: missing; add max_age = "48h"' in found
    assert problems(HEAD + gate + backup + "max_age = '1h'") == ()
