"""A changed helper of a user's class is a change of the class: its results are not taken for the new ones."""

from pathlib import Path

from memtrain.experiment.identity import with_own_imports


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def names(folder: Path, file: str) -> set[str]:
    return {path.relative_to(folder.resolve()).as_posix() for path in with_own_imports(folder / file)}


def test_files_of_the_own_package_count_however_they_are_imported(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "mine/__init__.py": "",
            "mine/cell.py": "import torch, mine.deep.gates\nfrom mine.mixing import Mixer\nfrom . import sizes\n",
            "mine/mixing.py": "from .scale import SCALE\n",
            "mine/scale.py": "SCALE = 2\n",
            "mine/sizes.py": "",
            "mine/unused.py": "",
            "mine/deep/__init__.py": "",
            "mine/deep/gates.py": "from ..scale import SCALE\n",
        },
    )
    wanted = {"cell", "mixing", "scale", "sizes", "deep/gates", "__init__", "deep/__init__"}
    assert names(tmp_path, "mine/cell.py") == {f"mine/{name}.py" for name in wanted}


def test_a_module_beside_a_lone_file_counts_and_libraries_do_not(tmp_path: Path) -> None:
    write(tmp_path, {"cell.py": "import numpy\nfrom torch import nn\nimport helper\n", "helper.py": "import cell\n"})
    assert names(tmp_path, "cell.py") == {"cell.py", "helper.py"}
