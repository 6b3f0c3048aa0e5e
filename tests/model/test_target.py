"""Targets of nodes: what is one, what is none, and that one is read as it is shown."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sando.config import addresses
from sando.config.values import Bad
from sando.model.target import Target, target_of


@pytest.mark.parametrize(
    "text, target, shown",
    [
        ("deploy@prod-1.example:22", Target("deploy", "prod-1.example", 22), "deploy@prod-1.example"),
        ("deploy@Prod-1.Example", Target("deploy", "prod-1.example", 22), "deploy@prod-1.example"),
        ("_x.y-z0@h:2222", Target("_x.y-z0", "h", 2222), "_x.y-z0@h:2222"),
        ("u@192.0.2.7:65535", Target("u", "192.0.2.7", 65535), "u@192.0.2.7:65535"),
        ("u@[2001:DB8:0:0::1]", Target("u", "2001:db8::1", 22), "u@[2001:db8::1]"),
        ("u@[2001:db8::1]:2222", Target("u", "2001:db8::1", 2222), "u@[2001:db8::1]:2222"),
        ("u@[::ffff:192.0.2.7]", Target("u", "::ffff:c000:207", 22), None),
        ("u@1password.example", Target("u", "1password.example", 22), "u@1password.example"),
        (f"{'a' * 32}@{'b' * 63}.c", Target("a" * 32, f"{'b' * 63}.c", 22), f"{'a' * 32}@{'b' * 63}.c"),
    ],
)
def test_a_target_is_taken_apart_and_shown_in_its_plain_form(text, target, shown):
    assert target_of(text) == target
    assert target_of(str(target)) == target
    if shown:
        assert str(target) == shown


@pytest.mark.parametrize(
    "text",
    [
        *("", "host", "@host", "u@", "u@h:", "u@h@h", "u:pw@h", "local"),
        *("-oProxyCommand=x", "-u@h", "u@-h", "u@h-", "root@-oProxyCommand=x", "u@h -oX", "u@%h", "u@h/x"),
        *(
            "U@h",
            "u@h\n",
            "\nu@h",
            "u@h\0",
            "u@h:22\n",
            "u @h",
            "ü@h",
            "u@hö",
            "u@a_b",
            "a;b@h",
            "u@$(id)",
            "u@`id`",
        ),
        *("u@a..b", "u@.a", "u@a.", f"u@{'b' * 64}", f"u@{'a.' * 127}a", f"{'a' * 33}@h"),
        *("u@h:0", "u@h:65536", "u@h:99999", "u@h:-1", "u@h:+1", "u@h:1_0", "u@h:٢٢", "u@h:000022"),
        *("u@[h]", "u@[]", "u@[1::2::3]", "u@[fe80::1%eth0]", "u@2001:db8::1", "u@[::1", "u@::1]"),
        *("u@256.1.1.1", "u@1.2.3", "u@1.2.3.4.5", "u@127.1", "u@2130706433", "u@0x7f000001", "u@0x7f.0.0.1"),
        *("u@010.0.0.1", "u@a.0x1", "u@host.1"),
    ],
)
def test_what_could_mean_something_else_is_no_target(text):
    with pytest.raises(ValueError, match="is no user@host"):
        target_of(text)


@pytest.mark.parametrize("text", ["u@0x7f.0.0.1", "u@host.1"])
def test_the_config_says_of_a_number_in_disguise_what_it_is(text):
    with pytest.raises(Bad, match="which a resolver takes for a number"):
        addresses.ssh_target(text)


@given(st.text() | st.from_regex(r"[a-z@:\[\].0-9%-]{1,20}@[a-z@:\[\].0-9%-]{1,20}", fullmatch=True))
@example("u@h:22")
def test_any_other_text_is_a_value_error_and_what_is_a_target_has_no_odd_character(text):
    try:
        target = target_of(text)
    except ValueError:
        return
    assert set(target.user + target.host) <= set("abcdefghijklmnopqrstuvwxyz0123456789_.-:")
    assert not target.host.startswith("-")
    assert 1 <= target.port <= 65535
    assert target_of(str(target)) == target
    try:
        assert addresses.ssh_target(text) == text
    except Bad as error:
        pytest.fail(f"the config refuses {text!r}: {error}")
