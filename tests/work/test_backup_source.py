"""The source of a backup: its URL taken apart, and the argv that brings it, asserted as lists."""

import pytest

from sando.config import addresses
from sando.config.values import Bad
from sando.model.errors import WorkError
from sando.model.topology import BackupSpec
from sando.work.backup.source import (
    Source,
    file_argv,
    folder_argv,
    into,
    list_argv,
    parse,
    send_argv,
    ssh_argv,
)

SSH_URL = "ssh://backup@prod-1:2222/var/backups/mnw.sql"


@pytest.mark.parametrize(
    ("url", "source"),
    [
        ("file:///home/my user/b.sql", Source("file", "/home/my user/b.sql")),
        ("rsync://H/module/path", Source("rsync", "/module/path", "h")),
        ("rsync://10.0.0.1:873/m/a/b", Source("rsync", "/m/a/b", "10.0.0.1", 873)),
        ("ssh://u@h/abs", Source("ssh", "/abs", "h", None, "u")),
        ("ssh://u@[0:0::1]:22/x", Source("ssh", "/x", "::1", 22, "u")),
    ],
)
def test_a_source_is_taken_apart_and_the_config_takes_it_too(url, source):
    assert parse(url) == source
    assert addresses.backup_source(url) == url
    assert parse(source.shown) == source


@pytest.mark.parametrize("url", ["file:///var/dump/", "rsync://h/m/dump/", "ssh://u@h/var/dump/"])
def test_the_path_of_a_folder_may_end_with_a_slash(url):
    assert addresses.backup_source(url) == url
    assert parse(url) == parse(url[:-1])


@pytest.mark.parametrize(
    "url",
    ["", "/a", "file://a", "file://host/a", "file:///", "file:////a", "file:///a/../b", "file:///a?x", "file:///a#x",
     "file:///a\nb", "file:///a%2e", "file:///a//", "file:///a/.", "FILE:///a", "ext::sh -c x", "http://h/a", "rsync://h/module",
     "rsync://h/m/", "rsync://-h/m/p", "rsync://h/-m/p", "rsync://h/m/-p", "rsync://u@h/m/p", "rsync:///m/p", "rsync://h:0/m/p",
     "rsync://h/m/p a", "rsync://h/m/*", "rsync://h:/m/p", "ssh://h/p", "ssh://-oX@h/p", "ssh://u@-h/p", "ssh://u:pw@h/p",
     "ssh://u@h", "ssh://u@h/", "ssh://u@h:99999/p", "ssh://u@h:-1/p", "ssh://u@h/$(id)", "ssh://u@h/a;b", "ssh://u@h//a",
     "ssh://u@h/a b", "ssh://u@h/d//", "ssh://u@h o/a", "ssh://u@[::1/a", "ssh://u@[::1]x/a", "ssh://u@1.2.3/a",
     "ssh://u@a@h/p", " ssh://u@h/p", "ssh://\tu@h/p", "ssh://u@[fe80::1%25eth0]/p", "ssh://@h/p", "ssh://u:@h/p"],
)  # fmt: skip
def test_a_source_that_could_mean_something_else_is_refused(url):
    with pytest.raises(WorkError, match=r"^backup: \[backup\] source ") as caught:
        parse(url)
    assert caught.value.errored
    with pytest.raises(Bad):
        addresses.backup_source(url)


@pytest.mark.parametrize("url", ["ssh://u:s3cret@h/p", "rsync://u:s3cret@h/m/p", "ssh://s3cret@@h/p"])
def test_a_login_is_never_quoted(url):
    with pytest.raises(WorkError) as caught:
        parse(url)
    assert "s3cret" not in str(caught.value)


def of(url, **keys):
    return BackupSpec(source=url, local_path="/b", **keys)


def test_ssh_reads_no_config_asks_nobody_and_gets_no_option_from_outside():
    expected = ["ssh", "-F", "none", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes"]
    expected += ["-o", "ConnectTimeout=10", "-i", "/k/id", "-o", "IdentitiesOnly=yes"]
    expected += ["-o", 'UserKnownHostsFile="/k/known hosts"', "-o", "GlobalKnownHostsFile=/dev/null"]
    expected += ["-p", "2222", "--", "backup@prod-1", "echo hello"]
    spec = of(SSH_URL, identity_file="/k/id", known_hosts="/k/known hosts")
    assert list(ssh_argv(parse(SSH_URL), spec, "echo hello")) == expected
    plain = list(ssh_argv(parse("ssh://u@[::1]/x"), of("ssh://u@[::1]/x"), "echo hello"))
    assert plain == [*expected[:9], "-p", "22", "--", "u@::1", "echo hello"]


def test_what_is_sent_to_the_other_side_is_one_line_that_every_login_shell_reads_alike():
    *_, command = send_argv(parse("ssh://u@h/-a~b=c,d.sql"), of("ssh://u@h/-a~b=c,d.sql"), "0a1b")
    script = command.removeprefix("sh -c '").partition("'")[0]
    assert command == f"sh -c '{script}' sh '/-a~b=c,d.sql' 0a1b"
    assert not set(script) & set("\n\\!'")


def test_a_file_of_this_machine_is_read_by_the_same_script():
    argv = send_argv(parse("file:///-a $(id)"), of("file:///-a $(id)"), "0a1b")
    assert (argv[0], argv[1], *argv[3:]) == ("sh", "-c", "sh", "/-a $(id)", "0a1b")
    assert "$(id)" not in argv[2]


@pytest.mark.parametrize("path", ["id", "-oProxyCommand=x", "/a%h", '/a"b', "/a\\b", "/a\nb", "/${HOME}/id"])
def test_a_key_file_that_ssh_would_read_as_something_else_is_refused(path):
    for files in ((path, None), (None, path)):
        with pytest.raises(WorkError, match="must be an absolute path"):
            ssh_argv(parse(SSH_URL), of(SSH_URL, identity_file=files[0], known_hosts=files[1]), "x")


RSYNC = [
    "rsync",
    "--no-motd",
    "--protect-args",
    "--no-human-readable",
    "--no-recursive",
    "--copy-links",
    "--no-links",
]
RSYNC += ["--no-devices", "--no-specials"]


def test_rsync_takes_one_regular_file_into_the_one_that_is_there_or_the_files_of_one_folder():
    source = parse("rsync://[::1]:8730/m/dump.sql")
    whole = ["--inplace", "--whole-file", "--", "rsync://[::1]:8730/m/dump.sql"]
    assert list(file_argv(source, "/here/x")) == [*RSYNC, *whole, "/here/x"]
    assert list(folder_argv(source, "/here/x")) == [
        *RSYNC,
        "--dirs",
        *whole[:-1],
        f"{whole[-1]}/",
        "/here/x/",
    ]


@pytest.mark.parametrize(("inside", "slash"), [(False, ""), (True, "/")])
def test_rsync_is_asked_first_what_there_is(inside, slash):
    source = parse("rsync://h/m/dump.sql")
    expected = [*RSYNC, "--list-only", "--dirs", "--", f"rsync://h/m/dump.sql{slash}"]
    assert list(list_argv(source, inside=inside)) == expected


def test_what_writes_to_stdout_is_led_into_the_file_and_its_name_is_never_read_by_the_shell():
    argv = into("/t $x", ("cat", "--", "/-a $(id)"))
    assert list(argv[:2]) == ["sh", "-c"]
    assert list(argv[3:]) == ["sh", "/t $x", "cat", "--", "/-a $(id)"]
    assert "$(id)" not in argv[2]
