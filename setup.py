"""Package metadata of sando; every dependency stands with the reason why it is not code of ours."""

from pathlib import Path

from setuptools import find_packages, setup

REQUIRES = [
    "pykka>=4.4.2,<5",  # the actors; 4.4.2 frees actors caught in reference cycles
    "falcon>=4.4,<5",  # HTTP resources, errors and their test client
    "waitress>=3,<4",  # the HTTP server; api/connection.py stands on a seam of version 3
    "simple-websocket>=1.1,<2",  # WebSocket handshake, ping and close on a plain socket
    "wsproto>=1.2,<2",  # what simple-websocket stands on: the client names its messages and errors
    "peewee>=4.5,<5",  # SQLite: schema, queries, a connection per thread
    "paramiko>=5,<6",  # SSH: connections that live in the daemon, so that a rollback pays no handshake
    "backports.zstd>=1.8,<2; python_version<'3.14'",  # patches between releases, and compression of what travels
    "prometheus-client>=0.26,<1",  # the exposition format of /metrics
    "tomlkit>=0.15,<1",  # TOML that remembers where a key stood
    "inotify-simple>=2,<3",  # hears of a push from the file system, before the hook has started
    "msgspec>=0.22,<1",  # typed values, their JSON, and the schema made from them
    "npyscreen>=5.0.4,<6",  # the screen: terminal, forms, focus, colours; tui/app is the only one that knows it
    "click>=8.5,<9",  # the command line: words, options, help pages, completion for three shells
    "rich>=13.9,<16",  # the bar below the steps of --wait, on terminals; loaded only there
    "wcwidth>=0.2.13,<1",  # how many cells a character takes: the standard library cannot say
    # No HTTP client: the standard library's http.client is one, with keep-alive and TLS. urllib3 takes 60 ms more to
    # import and httpx 120, of the 250 that `sando status` has; and what they add (pools, retries, redirects) a client
    # whose POSTs promote and roll back must not do.
]

TESTS = [
    "pytest>=9,<10",
    "pytest-cov>=7,<8",  # coverage in the same run
    "pytest-timeout>=2.4,<3",  # a hang is a failure that names its test
    "pytest-xdist>=3.8,<4",  # the layers use both cores
    "hypothesis>=6.170,<7",  # properties of the pure model
    "schemathesis>=4.32,<5",  # requests made from openapi.json, and answers held against it; brings jsonschema-rs
    "ruff>=0.17,<0.18",
    "mypy>=2.4,<3",
    "types-paramiko>=4,<6",
    "types-pexpect>=4.9,<5",
    "pexpect>=4.9,<5",  # `sando` on a real pseudo-terminal,
    "pyte>=0.8.2,<0.9",  # and what a terminal would show of it
    "build>=1.6,<2",
    "pyyaml>=6,<7",  # the alert rules of contrib/prometheus
]

setup(
    name="sando",
    version="1.0.0",
    description="CI/CD controller for a small team that owns a few servers",
    long_description=Path(__file__).with_name("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="MIT",
    python_requires=">=3.11",
    packages=find_packages(include=["sando*", "actors*", "api*", "tui*"]),
    package_data={
        "sando.cli": ["templates/*.toml"],
        "sando.work": ["*.sh"],
        "sando.work.scratch": ["*.sql"],
        "sando.work.hosts": ["*.sh"],
    },
    install_requires=REQUIRES,
    extras_require={"tests": TESTS},
    entry_points={"console_scripts": ["sandod = sando.daemon:main", "sando = sando.cli:main"]},
)
