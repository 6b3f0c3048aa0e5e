from sando.work import commands

SAFE = [
    "git", "-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false", "-c", "safe.directory=*",
    "-c", "gc.auto=0", "-c", "advice.detachedHead=false",
]  # fmt: skip
SHA = "a" * 40
EVIL = "--upload-pack=touch"


def test_a_new_bare_repository_takes_its_branch_in_one_word_and_no_template():
    assert commands.init_bare("-x.git", EVIL) == [
        *SAFE, "init", "--quiet", "--bare", "--template=", f"--initial-branch={EVIL}", "--", "-x.git",
    ]  # fmt: skip


def test_a_branch_is_read_by_its_full_name_behind_two_dashes():
    argv = commands.read_ref("/b", f"refs/heads/{EVIL}")
    assert argv[:-3] == [*SAFE, "--git-dir=/b", "for-each-ref"]
    assert argv[-2:] == ["--", f"refs/heads/{EVIL}"]


def test_a_short_sha_is_looked_up_among_objects_only():
    assert commands.with_prefix("/b", "abcd") == [*SAFE, "--git-dir=/b", "rev-parse", "--disambiguate=abcd"]


def test_what_a_commit_is_asked_by_stands_behind_end_of_options_and_is_no_path():
    assert commands.show_commit("/b", SHA)[-4:] == [
        "--max-count=1",
        "--end-of-options",
        SHA + "^{commit}",
        "--",
    ]


def test_a_log_is_a_range_with_a_limit():
    b = "b" * 40
    assert commands.log_between("/b", SHA, b, 5)[-4:] == [
        "--max-count=5",
        "--end-of-options",
        f"{SHA}..{b}",
        "--",
    ]
    assert commands.log_between("/b", "", b, 5)[-2:] == [b, "--"]


def test_a_checkout_is_read_tree_and_clean_that_spares_what_is_ignored():
    where = [*SAFE, "--git-dir=/g", "--work-tree=/w"]
    assert commands.read_tree("/g", "/w", SHA) == [
        *where, "read-tree", "-u", "--reset", "--no-recurse-submodules", SHA,
    ]  # fmt: skip
    assert commands.clean("/g", "/w") == [*where, "clean", "-ffdq"]


def test_submodules_are_synced_updated_and_cleaned_and_no_protocol_is_allowed_by_us():
    argvs = commands.submodules("/g", "/w", "/b")
    assert [argv[-3:] for argv in argvs] == [
        ["--quiet", "sync", "--recursive"],
        ["--init", "--recursive", "--force"],
        ["foreach", "--recursive", "git clean -ffdq"],
    ]
    assert not any("protocol" in word for argv in argvs for word in argv)


def test_no_variable_of_git_reaches_git():
    env = commands.git_env(
        {"GIT_DIR": "/x", "GIT_CONFIG_COUNT": "1", "PATH": "/bin", "LC_ALL": "de_DE.UTF-8"}
    )
    assert env == {
        "PATH": "/bin",
        "LC_ALL": "C",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_NO_REPLACE_OBJECTS": "1",
    }
