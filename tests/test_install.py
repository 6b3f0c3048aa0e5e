"""contrib/systemd/install in a root of its own: an overlay of this machine, in a mount namespace, that the test throws away.

No systemd runs there, which the installer has to say; what it leaves for systemd to start is started by hand.
"""

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
INSTALL = "contrib/systemd/install"
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

HERE = ROOT / "tests" / "install"
pytestmark = pytest.mark.timeout(300)  # two environments are made, on whatever machine


def python_of_the_system() -> str:
    ask = ["python3", "-c", "import platform; print('.'.join(platform.python_version_tuple()[:2]))"]
    done = subprocess.run(ask, env={"PATH": SYSTEM_PATH}, capture_output=True, text=True, check=False)
    return done.stdout.strip()


def lent() -> dict[str, str]:
    """Where this Python is of the system's kind, the packages of these tests do: that is ten seconds less of pip."""
    if python_of_the_system() != f"{sys.version_info[0]}.{sys.version_info[1]}":
        return {}
    return {
        "PYTHONPATH": "/packages",
        "PIP_NO_DEPS": "1",
        "PIP_NO_BUILD_ISOLATION": "1",
        "PIP_NO_COMPILE": "1",
    }


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What each part of the walk printed."""
    if os.geteuid():
        return {}
    folder = tmp_path_factory.mktemp("root")
    done = subprocess.run(
        ["unshare", "--mount", "--pid", "--fork", "--kill-child", HERE / "root.sh", folder, ROOT,
         sysconfig.get_path("purelib"), "/tree/tests/install/walk.sh"],
        env=os.environ | {"PATH": SYSTEM_PATH} | lent(), stdin=subprocess.DEVNULL, capture_output=True, text=True,
        timeout=280, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    parts = done.stdout.split("== ")[1:]
    return {part.split("\n", 1)[0]: part.split("\n", 1)[1] for part in parts}


def refused_without_root(said: dict[str, str]) -> bool:
    """Whoever is not root is told so, and that is all that can be seen."""
    if said:
        return False
    done = subprocess.run(["bash", ROOT / INSTALL], capture_output=True, text=True, check=False)
    assert (done.returncode, "run it as root" in done.stderr) == (1, True)
    return True


def test_it_makes_user_folders_and_configuration_with_their_modes_and_says_what_it_could_not_do(said) -> None:
    if refused_without_root(said):
        return
    told = said["install"]
    assert "user sando: made, with the shell /usr/bin/git-shell" in told
    assert "/etc/sando/daemon.toml: written" in told
    assert "not done, systemd does not run here: systemctl enable --now sandod.service" in told
    assert "/etc/sando/daemon.toml: ok" in told, "what it writes is valid as it stands"
    modes = said["modes"].splitlines()
    assert modes[:8] == [
        "750 sando:sando /var/lib/sando",
        "750 sando:sando /var/lib/sando/git",
        "700 sando:sando /var/lib/sando/.ssh",
        "600 sando:sando /var/lib/sando/.ssh/authorized_keys",
        "750 root:sando /etc/sando",
        "640 root:sando /etc/sando/daemon.toml",
        "640 root:sando /etc/sando/sando.toml",
        "700 root:root /etc/sando/credentials",
    ]
    assert modes[8].endswith(":/var/lib/sando:/usr/bin/git-shell")


def test_a_second_run_changes_nothing(said) -> None:
    if refused_without_root(said):
        return
    told = said["again"]
    assert "user sando: is there" in told
    assert "/etc/sando/sando.toml: is there, kept" in told
    assert "is of this tree, kept" in told
    assert "configuration: untouched" in told
    assert "installing into" not in told


def test_what_it_installed_serves_a_push_as_its_user_through_the_shell_that_pushes_get(said) -> None:
    if refused_without_root(said):
        return
    told = said["service"]
    assert "build 1 of" in told
    assert "/opt/sando/current/bin/sandod" in told
    assert "\nbuilt\n" in told
    assert "a shell was given" not in told


def test_an_upgrade_that_does_not_start_leads_back_to_the_version_before(said) -> None:
    if refused_without_root(said):
        return
    assert "is of another tree, kept; --upgrade replaces it" in said["upgrade"]
    told = said["failing"]
    assert "program: sandod 9.9.9" in told
    restarts = [line for line in told.splitlines() if line.startswith("systemctl restart")]
    assert restarts == [f"systemctl restart sandod.service: sandod is {which}" for which in ("new", "old")]
    assert "the new version did not start (journalctl -u sandod)" in told
    assert told.splitlines()[-3:] == [
        "the old one is current",
        "the unit is of the old",
        "# a line of one's own",
    ]
    assert "sandod.service: was not as sando made it; kept as" in said["upgrade"]


def test_one_step_leads_to_the_version_before_if_it_takes_the_configuration(said) -> None:
    if refused_without_root(said):
        return
    assert said["back"].splitlines()[-3:] == [
        "sandod 9.9.9",
        "the former one is kept",
        "the unit is of the new",
    ]
    assert "not done, systemd does not run here: systemctl restart sandod.service" in said["back"]
    assert "broken: unknown key" in said["broken"]
    assert "still the same" in said["broken"]


def test_it_goes_without_a_trace_and_data_goes_only_when_told_to(said) -> None:
    if refused_without_root(said):
        return
    kept = said["uninstall"]
    assert "releases" in kept
    assert "daemon.toml" in kept
    for gone in ("/opt/sando", "/usr/local/bin/sandod", "/etc/systemd/system/sandod.service"):
        assert f"cannot access '{gone}'" in kept
    assert "no user" in said["purge"]
    assert "cannot access '/var/lib/sando'" in said["purge"]
    assert "cannot access '/etc/sando'" in said["purge"]


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (["--prefix", "/opt"], 1, "an absolute folder of sando's own"),
        (["--prefix", "opt/sando"], 1, "an absolute folder of sando's own"),
        (["--purge"], 1, "goes with --uninstall"),
        (["--frobnicate"], 2, "usage:"),
    ],
)
def test_what_it_does_not_understand_it_does_not_do(words: list[str], code: int, text: str) -> None:
    done = subprocess.run(["bash", ROOT / INSTALL, *words], capture_output=True, text=True, check=False)
    assert (done.returncode, text in done.stderr) == (code, True)
