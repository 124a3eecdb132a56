"""The import closure, on small trees."""

from pathlib import Path

import pytest

from pipeline.closure import closure


def write(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def test_every_kind_of_import_is_followed(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "tasks/__init__.py": "",
            "tasks/a.py": "import models.b\nimport numpy\ndef f():\n    from models import c\n",
            "models/__init__.py": "",
            "models/b.py": "from .d import x\n",
            "models/c.py": "from models.e.f import y\n",
            "models/d.py": "import tasks.a\n",
            "models/e/__init__.py": "SPEAKS = True\n",
            "models/e/f.py": "",
            "models/alone.py": "",
        },
    )
    assert closure("tasks.a", tmp_path) == [
        "models/b.py",
        "models/c.py",
        "models/d.py",
        "models/e/__init__.py",
        "models/e/f.py",
        "tasks/a.py",
    ]


def test_a_module_without_a_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"tasks\.gone"):
        closure("tasks.gone", tmp_path)
