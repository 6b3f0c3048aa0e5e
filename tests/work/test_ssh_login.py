"""Who a node is and who we are to it: host keys and login keys, against real sshd's. Nothing is sent to a stranger."""

import base64
import os
import shlex
import shutil
import socket
import subprocess
from pathlib import Path

import pytest
from paramiko import PKey

from sando.model.errors import WorkError
from sando.model.target import target_of
from sando.model.topology import NodeSpec
from sando.work.hosts import Parcels, connect
from sando.work.hosts.ssh import agent as agent_module
from sando.work.hosts.ssh.trust import Trust
from tests.work.lines import agent, fingerprint, line_to, refused, says
from tests.work.sshds import farm, new_pair, pair


@pytest.fixture(scope="module")
def sshd(tmp_path_factory):
    with farm(tmp_path_factory.mktemp("sshd")) as made:
        yield made


@pytest.fixture(scope="module")
def node(sshd):
    return sshd("127.0.0.4")


@pytest.fixture(scope="module")
def typed(sshd):
    """A node with host keys of three types."""
    return sshd("127.0.0.4", host_keys=("rsa", "ecdsa", "ed25519"))


@pytest.fixture
def known(tmp_path):
    return tmp_path / "known_hosts"


@pytest.fixture
def home(tmp_path, monkeypatch):
    """The .ssh of sandod's user, which has no agent."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    folder = tmp_path / "home" / ".ssh"
    folder.mkdir(parents=True)
    return folder


def name(node) -> str:
    return f"[{node.host}]:{node.port}"


def heard(node) -> str:
    """What the node has in its log of this test."""
    return node.log[getattr(node, "mark", 0) :]


@pytest.fixture(autouse=True)
def _marks(request):
    for fixture in ("node", "typed"):
        if fixture in request.fixturenames:
            found = request.getfixturevalue(fixture)
            found.mark = len(found.log)


def nothing_was_sent_to(node) -> bool:
    """No user and no key; what an earlier test's session says at its end is not this one's."""
    words = ("publickey", "Accepted", "Failed", "authenticating user", "invalid user")
    return not any(word in heard(node) for word in words)


# -- host keys ----------------------------------------------------------------------------------------------


def test_an_unknown_host_key_is_refused_with_its_fingerprint_and_the_line_that_makes_it_known(node, known):
    known.write_text("")
    said = refused(line_to(node, known_hosts=known))
    told = fingerprint(pair("ed25519", "host").public)
    scan = f"ssh-keyscan -p {node.port} -t ed25519 127.0.0.4"
    assert said == (
        f"{node.target}: its host key is unknown: ssh-ed25519 {told}; compare that fingerprint with the node's own, "
        f"then add what `{scan}` prints to {known}"
    )
    assert nothing_was_sent_to(node)
    found = subprocess.run(shlex.split(scan), capture_output=True, text=True, check=True).stdout
    known.write_text(found)
    assert says(line_to(node, known_hosts=known)) == "hello"


def test_a_changed_host_key_is_refused_loudly_with_both_fingerprints_and_the_way_back(node, known):
    other = new_pair().public
    known.write_text(f"{name(node)} {other}\n")
    said = refused(line_to(node, known_hosts=known))
    assert (
        f"ITS HOST KEY HAS CHANGED: it is ssh-ed25519 {fingerprint(pair('ed25519', 'host').public)}" in said
    )
    assert f"and was ssh-ed25519 {fingerprint(other)}" in said
    assert nothing_was_sent_to(node)
    _, forget, _, scan, _ = said.split("`")
    subprocess.run(shlex.split(forget), check=True, capture_output=True)
    assert known.read_text() == ""
    known.write_text(subprocess.run(shlex.split(scan), capture_output=True, text=True, check=True).stdout)
    assert says(line_to(node, known_hosts=known)) == "hello"


def test_a_host_key_of_another_type_than_the_known_ones_is_not_taken_either(node, known):
    known.write_text(f"{name(node)} {pair('rsa', 'host').public}\n")
    assert "ITS HOST KEY HAS CHANGED" in refused(line_to(node, known_hosts=known))
    assert nothing_was_sent_to(node)


@pytest.mark.parametrize("names", ["{name}", "*", "[127.0.0.*]:*", "other,{name}"])
def test_a_revoked_host_key_is_refused_even_where_it_is_known(node, known, names):
    key = pair("ed25519", "host").public
    known.write_text(f"{name(node)} {key}\n@revoked {names.format(name=name(node))} {key}\n")
    said = refused(line_to(node, known_hosts=known))
    assert f"its host key is revoked: ssh-ed25519 {fingerprint(key)}" in said
    assert str(known) in said
    assert nothing_was_sent_to(node)


def test_a_revocation_of_another_key_or_for_another_host_changes_nothing(node, known):
    key, other = pair("ed25519", "host").public, new_pair().public
    known.write_text(f"{name(node)} {key}\n@revoked * {other}\n@revoked elsewhere,!{name(node)} {key}\n")
    assert says(line_to(node, known_hosts=known)) == "hello"


def test_hashed_names_are_known(node, known):
    known.write_text(f"{name(node)} {pair('ed25519', 'host').public}\n")
    subprocess.run(["ssh-keygen", "-q", "-H", "-f", str(known)], check=True, capture_output=True)
    assert name(node) not in known.read_text()
    assert says(line_to(node, known_hosts=known)) == "hello"


@pytest.mark.parametrize("kind", ["rsa", "ecdsa", "ed25519"])
def test_the_node_is_asked_for_a_key_of_a_type_that_is_known(typed, known, kind):
    known.write_text(f"{name(typed)} {pair(kind, 'host').public}\n")
    assert says(line_to(typed, known_hosts=known)) == "hello"


def test_one_of_several_keys_is_enough_and_lines_that_are_none_are_passed_over(node, known):
    key, other = pair("ed25519", "host").public, new_pair().public
    lines = [
        "# a comment",
        "",
        "|1|bad|bad ssh-ed25519 AAAA",
        "too short",
        f"@cert-authority * {key}",
        f"{name(node)} ssh-ed25519 AAAAnot64",
        f"{name(node)} sk-of-tomorrow@openssh.com AAAA",
        f"{name(node)} {other}",
        f"  other.example,{name(node)}\t{key}\tcomment of a few words",
        "\udcff\udcfe",
    ]
    known.write_text("\n".join(lines), errors="surrogateescape")
    assert says(line_to(node, known_hosts=known)) == "hello"


def test_a_key_of_a_certificate_authority_is_no_host_key(node, known):
    known.write_text(f"@cert-authority {name(node)} {pair('ed25519', 'host').public}\n")
    assert "its host key is unknown" in refused(line_to(node, known_hosts=known))


def vouched(target: str, line: str, tmp_path: Path) -> bool:
    path = tmp_path / "known"
    path.write_text(line)
    key = PKey.from_type_string(*_typed_bytes(pair("ed25519", "host").public))
    try:
        Trust(target_of(target), str(path)).check(key)
    except WorkError:
        return False
    return True


def _typed_bytes(public: str) -> tuple[str, bytes]:
    kind, data = public.split()[:2]
    return kind, base64.b64decode(data)


@pytest.mark.parametrize(
    "target, names, trusted",
    [
        ("u@prod-1.example", "prod-1.example", True),
        ("u@Prod-1.example", "PROD-1.EXAMPLE", True),
        ("u@prod-1.example:22", "prod-1.example,192.0.2.7", True),
        ("u@prod-1.example", "[prod-1.example]:22", False),
        ("u@prod-1.example:2222", "[prod-1.example]:2222", True),
        ("u@prod-1.example:2222", "prod-1.example", False),
        ("u@prod-1.example:2222", "[prod-1.example]:2223", False),
        ("u@prod-1.example", "*.example", True),
        ("u@prod-1.example", "prod-?.example", True),
        ("u@prod-1.example", "*.example,!prod-1.example", False),
        ("u@prod-1.example", "!prod-1.example,*.example", False),
        ("u@prod-1.example", "prod-1.example.evil", False),
        ("u@prod-1.example", "prod-1xexample", False),
        ("u@prod-1.example", "[p]rod-1.example", False),
        ("u@[2001:db8::1]", "2001:db8::1", True),
        ("u@[2001:DB8:0::1]:2222", "[2001:db8::1]:2222", True),
    ],
)
def test_names_are_matched_as_ssh_matches_them(tmp_path, target, names, trusted):
    assert vouched(target, f"{names} {pair('ed25519', 'host').public}\n", tmp_path) is trusted


def test_a_declared_known_hosts_that_is_not_there_is_told(node, tmp_path):
    said = refused(line_to(node, known_hosts=tmp_path / "gone"))
    assert f"known_hosts {tmp_path}/gone is not there; make it, or correct sando.toml" in said
    assert nothing_was_sent_to(node)


def test_a_declared_known_hosts_that_cannot_be_read_is_told(node, tmp_path):
    said = refused(line_to(node, known_hosts=tmp_path))
    assert f"known_hosts {tmp_path} cannot be read: Is a directory" in said


def test_without_a_declared_one_the_known_hosts_of_sandods_user_counts(node, home):
    shutil.copy(node.identity, home / "id_ed25519")
    said = refused(line_to(node, declared=False))
    assert f"prints to {home}/known_hosts" in said
    shutil.copy(node.known_hosts, home / "known_hosts")
    assert says(line_to(node, declared=False)) == "hello"


# -- keys that are declared ---------------------------------------------------------------------------------


def key_file(tmp_path, text: str, mode: int = 0o600) -> Path:
    path = tmp_path / "key"
    path.write_text(text)
    path.chmod(mode)
    return path


def test_a_declared_key_that_is_not_there_is_told(node, tmp_path):
    said = refused(line_to(node, identity=tmp_path / "gone"))
    assert f"identity_file {tmp_path}/gone is not there; make it (ssh-keygen), or correct sando.toml" in said


def test_a_declared_key_that_others_may_read_is_refused_with_the_command_that_mends_it(node, tmp_path):
    path = key_file(tmp_path, pair("ed25519", "client").private, 0o644)
    said = refused(line_to(node, identity=path))
    assert f"identity_file {path} may be read by others; chmod 600 {path}" in said
    path.chmod(0o600)
    assert says(line_to(node, identity=path)) == "hello"


def test_a_key_of_another_user_that_is_lent_through_its_group_logs_in_and_one_open_to_all_does_not(
    node, tmp_path
):
    """As systemd lends a credential: root's, with an ACL for the service, which shows as the mode of the group."""
    path = key_file(tmp_path, pair("ed25519", "client").private, 0o440)
    assert "may be read by others" in refused(line_to(node, identity=path)), "our own file has no such reason"
    if os.geteuid() == 0:
        os.chown(path, 65534, 65534)
        assert says(line_to(node, identity=path)) == "hello"
        path.chmod(0o444)
        assert "may be read by others" in refused(line_to(node, identity=path))


@pytest.mark.parametrize(
    "text",
    ["", "no key\n", pair("ed25519", "client").public, "\x00\xff" * 99],
    ids=["empty", "words", "the public key", "bytes"],
)
def test_a_declared_file_that_is_no_private_key_is_told(node, tmp_path, text):
    said = refused(line_to(node, identity=key_file(tmp_path, text)))
    assert f"identity_file {tmp_path}/key is no private key that can be used" in said
    if text.startswith("ssh-"):
        assert "it is the public one" in said


@pytest.fixture(scope="module")
def locked():
    return new_pair(passphrase="correct horse")


def allow(node, public: str) -> None:
    with (node.folder / "authorized_keys").open("a") as file:
        file.write(public + "\n")


def test_a_declared_key_with_a_passphrase_is_told_and_nobody_is_asked_for_it(node, tmp_path, locked, home):
    path = key_file(tmp_path, locked.private)
    said = refused(line_to(node, identity=path))
    assert f"identity_file {path} has a passphrase, and nobody is there to type it; ssh-add it" in said


@pytest.mark.parametrize("public", [True, False], ids=["beside a .pub", "alone"])
def test_a_declared_key_with_a_passphrase_is_used_through_the_agent_that_has_it(
    node, tmp_path, locked, monkeypatch, public
):
    allow(node, locked.public)
    path = key_file(tmp_path, locked.private)
    if public:
        path.with_name("key.pub").write_text(locked.public)
    with agent(tmp_path, node.identity, path, passphrase="correct horse") as sock:
        monkeypatch.setenv("SSH_AUTH_SOCK", str(sock))
        assert says(line_to(node, identity=path)) == "hello"
    assert fingerprint(locked.public) in heard(node)
    assert fingerprint(pair("ed25519", "client").public) not in heard(node)


def test_a_declared_key_is_the_only_one_that_is_tried(node, tmp_path, monkeypatch, home):
    shutil.copy(node.identity, home / "id_ed25519")
    path = key_file(tmp_path, new_pair().private)
    with agent(tmp_path, node.identity) as sock:
        monkeypatch.setenv("SSH_AUTH_SOCK", str(sock))
        said = refused(line_to(node, identity=path))
    assert said == (
        f"{node.target}: does not let {node.user} in with {path}; append the public key to "
        f"~{node.user}/.ssh/authorized_keys there (ssh-copy-id)"
    )
    assert f"Failed publickey for {node.user}" in heard(node)


def test_an_rsa_key_logs_in(node, tmp_path):
    allow(node, pair("rsa", "client").public)
    assert says(line_to(node, identity=key_file(tmp_path, pair("rsa", "client").private))) == "hello"


def test_a_certificate_beside_a_key_logs_in_where_only_its_authority_is_known(sshd, tmp_path):
    authority = new_pair().write(tmp_path / "ca")
    node = sshd("127.0.0.4", options=(f"TrustedUserCAKeys {authority}.pub",))
    path = new_pair().write(tmp_path / "key")
    assert "does not let" in refused(line_to(node, identity=path))
    sign = ["ssh-keygen", "-q", "-s", str(authority), "-I", "sando", "-n", node.user, f"{path}.pub"]
    subprocess.run(sign, check=True, capture_output=True)
    assert says(line_to(node, identity=path)) == "hello"
    assert "ID sando" in node.log


# -- keys that are found ------------------------------------------------------------------------------------


@pytest.fixture
def found(node, home):
    """A line for which neither key nor known_hosts is declared."""
    shutil.copy(node.known_hosts, home / "known_hosts")
    return line_to(node, declared=False)


def test_without_any_key_it_says_where_one_is_looked_for(found):
    said = refused(found)
    assert said.endswith("no key to log in with; set identity_file, or make ~/.ssh/id_ed25519 (ssh-keygen)")


def test_the_usual_files_are_tried_one_after_the_other(found, home, node):
    new_pair().write(home / "id_ed25519")
    allow(node, pair("rsa", "client").public)
    pair("rsa", "client").write(home / "id_rsa")
    assert says(found) == "hello"
    assert f"Failed publickey for {node.user}" in heard(node)


def test_usual_files_that_cannot_be_used_are_told_when_nothing_else_lets_in(found, home, locked):
    key = locked.write(home / "id_ed25519")
    other = pair("ed25519", "client").write(home / "id_rsa")
    other.chmod(0o644)
    said = refused(found)
    assert f"{key} has a passphrase" in said
    assert f"{other} may be read by others; chmod 600 {other}" in said


def test_keys_that_are_refused_are_all_named(found, home, tmp_path, monkeypatch):
    new_pair().write(home / "id_ed25519")
    with agent(tmp_path, new_pair().write(tmp_path / "of the agent")) as sock:
        monkeypatch.setenv("SSH_AUTH_SOCK", str(sock))
        said = refused(found)
    assert "of the agent (agent), ~/.ssh/id_ed25519; append the public key" in said


def test_a_key_of_the_agent_logs_in(found, node, tmp_path, monkeypatch):
    with agent(tmp_path, node.identity) as sock:
        monkeypatch.setenv("SSH_AUTH_SOCK", str(sock))
        assert says(found) == "hello"


def test_an_agent_that_is_gone_is_no_obstacle(found, node, home, tmp_path, monkeypatch):
    shutil.copy(node.identity, home / "id_ed25519")
    monkeypatch.setenv("SSH_AUTH_SOCK", str(tmp_path / "gone.sock"))
    assert says(found) == "hello"


def test_an_agent_that_never_answers_costs_little_and_is_no_obstacle(
    found, node, home, tmp_path, monkeypatch
):
    shutil.copy(node.identity, home / "id_ed25519")
    monkeypatch.setattr(agent_module, "AGENT_S", 0.2)
    with socket.socket(socket.AF_UNIX) as mute:
        mute.bind(str(tmp_path / "mute.sock"))
        mute.listen()
        monkeypatch.setenv("SSH_AUTH_SOCK", str(tmp_path / "mute.sock"))
        assert says(found) == "hello"


def test_an_agent_that_does_not_sign_is_named(found, node, tmp_path, monkeypatch):
    with agent(tmp_path, node.identity, words=("-c",)) as sock:  # to be confirmed, and there is no screen
        monkeypatch.setenv("SSH_AUTH_SOCK", str(sock))
        said = refused(found)
    assert "(agent) cannot be used for signing" in said


def test_more_keys_than_the_node_bears_is_told(sshd, home, tmp_path, monkeypatch):
    node = sshd("127.0.0.4", options=("MaxAuthTries 2",))
    shutil.copy(node.known_hosts, home / "known_hosts")
    with agent(tmp_path, *(new_pair().write(tmp_path / f"key-{n}") for n in range(4))) as sock:
        monkeypatch.setenv("SSH_AUTH_SOCK", str(sock))
        said = refused(line_to(node, declared=False))
    assert "ended the connection after 2 keys" in said
    assert "set identity_file" in said


@pytest.mark.parametrize(
    "options, said",
    [
        (("PubkeyAuthentication no", "PasswordAuthentication yes"), "takes no keys, only password"),
        (("PasswordAuthentication yes", "AuthenticationMethods publickey,password"), "wants more than a key"),
    ],
)
def test_a_node_that_wants_a_password_is_told(sshd, options, said):
    assert said in refused(line_to(sshd("127.0.0.4", options=options)))


# -- what is never read -------------------------------------------------------------------------------------


def test_nothing_of_ssh_config_is_read(node, home, found, tmp_path):
    shutil.copy(node.identity, home / "id_ed25519")
    (home / "config").write_text(
        f"Host *\n  ProxyCommand touch {tmp_path}/ran\n  LocalCommand touch {tmp_path}/ran\n"
        f"  PermitLocalCommand yes\n  User nobody\n  Port 1\n  HostName 127.0.0.99\n"
        f'Match exec "touch {tmp_path}/ran"\n'
    )
    assert says(found) == "hello"
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "target",
    [
        "-oProxyCommand=touch /tmp/x",
        "root@-oProxyCommand=x",
        "root@host -oX",
        "a;b@h",
        "u@h\n",
        "u@%h",
        "u@h:0",
        "u@$(id)",
    ],
)
def test_a_target_that_is_none_is_refused_before_a_socket_is_made(monkeypatch, tmp_path, target):
    monkeypatch.setattr(socket, "socket", None)
    monkeypatch.setattr(socket, "getaddrinfo", None)
    with pytest.raises(ValueError, match="is no user@host"):
        connect(NodeSpec("n", target, str(tmp_path)), Parcels())


def test_a_key_file_with_an_odd_name_is_a_file_and_nothing_else(node, tmp_path):
    path = tmp_path / "-oX $(touch x) 'ü\n"
    shutil.copy(node.identity, path)
    assert says(line_to(node, identity=path)) == "hello"
    assert sorted(os.listdir(tmp_path)) == [path.name]  # noqa: PTH208
