"""The daemon in one line: what stands on each tier and what is at work, as `systemctl status` shows it."""

from collections.abc import Mapping
from typing import Any


def headline(state: Mapping[str, Any]) -> str:
    """From the structure of GET /state: `mm 0.8.2, a 0.8.1 (steady), b empty; build 42 of 1a2b3c4 runs its gates`."""
    tiers = ", ".join(_tier(t) for t in state["tiers"] if t["provisioned"])
    return "; ".join([tiers, *_work(state)])


def _tier(tier: Mapping[str, Any]) -> str:
    version, status = tier["current_version"], tier["status"]
    if version is None:
        return f"{tier['name']} {status}"
    return f"{tier['name']} {version}" + ("" if status == "steady" else f" ({status})")


def _work(state: Mapping[str, Any]) -> list[str]:
    build = state["build"]
    found = []
    if build:
        does = "runs its gates" if build["phase"] == "gates" else "runs"
        found.append(f"build {build['operation']} of {(build['sha'] or '')[:7]} {does}")
    found += [f"operation {t['operation']} deploys to {t['name']}" for t in state["tiers"] if t["operation"]]
    return found or ["idle"]
