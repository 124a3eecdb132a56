"""`make check`: known weaknesses of the locked packages, where there is a network to ask.

Asked is the advisory service of pip-audit. Where it does not answer, that is said and is no
failure. A weakness that is found fails the check, unless pyproject.toml gives the reason why it is
none here: `[tool.fettle.audit] allow = {"PYSEC-2026-1" = "why"}`.
"""

import json
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
LOCK = ROOT / "requirements.lock"
SECONDS = 300
"""How long the service may take for all packages."""


def judged(dependencies: list[Mapping[str, Any]], allowed: Mapping[str, str]) -> tuple[str, bool]:
    """What to say of pip-audit's findings, and whether the check passes.

    A package that the service does not know has a `skip_reason` and no `vulns`.
    """
    known = [one for one in dependencies if "vulns" in one]
    found = [
        (f"{one['name']} {one['version']}", weakness["id"], weakness["fix_versions"])
        for one in known
        for weakness in one["vulns"]
    ]
    if not known:
        return "audit: the advisory service does not answer; nothing was looked up", True
    open_ones = [one for one in found if one[1] not in allowed]
    lines = [
        f"audit: {package}: {name}; mended in {', '.join(fixed) or 'no version yet'}"
        for package, name, fixed in open_ones
    ]
    lines.append(
        f"audit: {len(known)} of {len(dependencies)} packages looked up, {len(open_ones)} known "
        f"weaknesses, {len(found) - len(open_ones)} allowed by pyproject.toml"
    )
    return "\n".join(lines), not open_ones


def main() -> int:
    """Ask, print, and return the exit code: 1 for a weakness that is not allowed."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        own = tomllib.load(file).get("tool", {}).get("fettle", {})
    allowed: dict[str, str] = own.get("audit", {}).get("allow", {})
    command = [str(Path(sys.executable).parent / "pip-audit"), "--requirement", str(LOCK)]
    command += ["--disable-pip", "--require-hashes", "--progress-spinner=off", "--format=json"]
    try:
        asked = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=SECONDS
        )
        dependencies = json.loads(asked.stdout)["dependencies"]
    except (subprocess.TimeoutExpired, ValueError):
        # Without a network it ends in an error and says nothing in JSON.
        dependencies = []
    said, passes = judged(dependencies, allowed)
    print(said)
    return 0 if passes else 1


if __name__ == "__main__":
    sys.exit(main())
