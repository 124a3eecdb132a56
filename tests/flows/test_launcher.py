"""What the launcher fixes for every process it starts, heard by the libraries themselves."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

PROBE = """
import os
os.environ["ONEDNN_VERBOSE"] = "1"
from numpy._core._multiarray_umath import __cpu_features__
print("numpy", *sorted(name for name, used in __cpu_features__.items() if used))
import scipy.linalg
from threadpoolctl import threadpool_info
print("openblas", *{library["architecture"] for library in threadpool_info()})
import tensorflow as tf
tf.ones((2, 2)) @ tf.ones((2, 2))
print("hash", hash("fettle"))
"""


def _avx2() -> bool:
    cpuinfo = Path("/proc/cpuinfo")
    return cpuinfo.is_file() and "avx2" in cpuinfo.read_text().split()


@pytest.mark.skipif(not _avx2(), reason="this CPU has no AVX2, which is what the launcher fixes")
@pytest.mark.doors
def test_libraries_use_avx2_and_no_more_whatever_the_cpu_has(tmp_path: Path) -> None:
    shutil.copy(ROOT / "fettle", tmp_path)
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f"#!/bin/sh\nexec {sys.executable} -c '{PROBE}'\n")
    python.chmod(0o755)

    said = subprocess.run(
        [tmp_path / "fettle"], capture_output=True, text=True, check=True, cwd=tmp_path
    ).stdout.splitlines()

    features = next(line for line in said if line.startswith("numpy")).split()
    assert "X86_V3" in features
    assert "X86_V4" not in features
    assert "openblas Haswell" in said
    assert "onednn_verbose,v1,info,cpu,isa:Intel AVX2" in said
