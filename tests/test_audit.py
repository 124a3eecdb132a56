"""What `make check` makes of known weaknesses."""

import re

import pytest

from tests.audit import LOCK, judged

SOUND = {"name": "numpy", "version": "2.0", "vulns": []}
WEAK = {"name": "jinja2", "version": "3.0", "vulns": [{"id": "PYSEC-1", "fix_versions": ["3.1"]}]}
UNKNOWN = {"name": "own", "skip_reason": "Dependency not found"}


@pytest.mark.parametrize(
    ("dependencies", "allowed", "said", "passes"),
    [
        ([SOUND, UNKNOWN], {}, "1 of 2 packages looked up, 0 known weaknesses", True),
        ([SOUND, WEAK], {}, "jinja2 3.0: PYSEC-1; mended in 3.1", False),
        ([SOUND, WEAK], {"PYSEC-2": "why"}, "jinja2 3.0: PYSEC-1", False),
        ([SOUND, WEAK], {"PYSEC-1": "why"}, "0 known weaknesses, 1 allowed", True),
        ([UNKNOWN, UNKNOWN], {}, "the advisory service does not answer", True),
        ([], {}, "the advisory service does not answer", True),
    ],
)
def test_a_weakness_fails_and_silence_does_not(dependencies, allowed, said, passes):
    words, verdict = judged(dependencies, allowed)
    assert said in words
    assert verdict is passes


def test_every_package_is_locked_by_its_hash_and_from_nowhere_in_particular():
    lines = LOCK.read_text().splitlines()
    packages = [place for place, line in enumerate(lines) if re.match(r"[a-z0-9]", line)]
    assert len(packages) > 100
    for place in packages:
        assert re.fullmatch(r"[a-z0-9._-]+(\[[a-z0-9,-]+\])?==\S+( ; .+)? \\", lines[place])
        assert lines[place + 1].startswith("    --hash=sha256:")
    assert not [line for line in lines if "://" in line or line.startswith("-")]
