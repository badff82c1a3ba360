"""The tutorials are notebooks that can be read and run; the documentation's build runs them."""

from pathlib import Path

import nbformat
import pytest

FOLDER = Path(__file__).parents[2] / "docs" / "tutorials"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))


def test_there_are_four_and_the_index_names_them():
    index = (FOLDER / "index.md").read_text()
    assert len(NOTEBOOKS) == 4
    assert [path.name for path in NOTEBOOKS if path.stem not in index] == []


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_is_valid_without_outputs_and_its_code_compiles(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert len(code) >= 5
    for cell in code:
        assert not cell.outputs and cell.execution_count is None, cell.id
        compile(cell.source, f"{path.name}, {cell.id}", "exec")
    # opens with what one learns, ends with what to try and where to go
    assert "You learn" in notebook.cells[0].source
    assert "## Exercises" in notebook.cells[-1].source
