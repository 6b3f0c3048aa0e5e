"""Says whether this environment holds the sando of a given tree, with all that its setup.py asks for.

Usage: PYTHON -I installed.py ROOT [EXTRA]. Exits 0 when it does, else 1 with the first thing that is missing.
It changes nothing and reaches no network.
"""

import json
import runpy
import sys
from importlib.metadata import PackageNotFoundError, distribution, version
from pathlib import Path
from types import ModuleType
from urllib.parse import unquote, urlsplit

try:
    from pip._vendor.packaging.requirements import Requirement
except ImportError:
    sys.exit("pip is missing or broken in it")


def declared(root):
    """What setup.py tells setuptools, without setuptools: an environment of Python 3.12 has none."""
    told = {}
    listener = ModuleType("setuptools")
    listener.setup = lambda **words: told.update(words)
    listener.find_packages = lambda **_words: []
    sys.modules["setuptools"] = listener
    runpy.run_path(str(root / "setup.py"))
    return told


def missing(root, extra):
    """The first thing that is not as setup.py wants it; empty when all is."""
    told = declared(root)
    try:
        sando = distribution("sando")
    except PackageNotFoundError:
        return "sando is not installed"
    origin = json.loads(sando.read_text("direct_url.json") or "{}")
    if not origin.get("dir_info", {}).get("editable") or not same(origin.get("url", ""), root):
        return "the sando in it is not of this tree"
    scripts = {f"{e.name} = {e.value}" for e in sando.entry_points if e.group == "console_scripts"}
    if sando.version != told["version"] or scripts != set(told["entry_points"]["console_scripts"]):
        return "the sando in it is of another version"
    for text in [*told["install_requires"], *(told["extras_require"][extra] if extra else [])]:
        wanted = Requirement(text)
        try:
            if version(wanted.name) not in wanted.specifier:
                return f"{wanted.name} {version(wanted.name)} is not {wanted.specifier}"
        except PackageNotFoundError:
            return f"{wanted.name} is not installed"
    program = Path(sys.prefix, "bin", "sandod")
    return "" if program.is_file() else f"{program} is missing"


def same(url, root):
    return Path(unquote(urlsplit(url).path)).resolve() == root.resolve()


def main():
    found = missing(Path(sys.argv[1]), (sys.argv[2:] or [""])[0])
    if found:
        print(found)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
