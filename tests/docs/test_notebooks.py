"""Every notebook of the docs runs from its first cell to its last, and says what it promises."""

import json

import pytest
from pages import ROOT, type_in

NOTEBOOKS = sorted((ROOT / "docs/notebooks").glob("*.ipynb"))


def cells(path, kind):
    notebook = json.loads(path.read_text(encoding="utf-8"))
    return ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == kind]


@pytest.mark.slow
def test_what_pruning_changed(tmp_path):
    (path,) = NOTEBOOKS
    code = [*cells(path, "code"), "print(explained)"]
    (tmp_path / "notebook.py").write_text("\n\n".join(code), encoding="utf-8")
    said = type_in("MPLBACKEND=agg python notebook.py", tmp_path)
    assert "test loss of the baseline" in said
    assert "sparsity" in said
    assert "pairs as the loss does" in said
    assert "of answers change" in said
    assert (tmp_path / "ap2-and-pd.png").stat().st_size > 5000


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_no_output_is_kept(path):
    notebook = json.loads(path.read_text(encoding="utf-8"))
    outputs = [cell["outputs"] for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert not any(outputs)
