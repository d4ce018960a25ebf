"""docs/api.ipynb runs from its first cell to its last, and stands there as it ran."""

from tests.kit.optional import needs_extra
from tests.kit.places import ROOT

for package in ("nbclient", "nbformat", "ipykernel"):
    needs_extra(package, "dev")

import nbformat  # noqa: E402
from nbclient import NotebookClient  # noqa: E402

PATH = ROOT / "docs" / "api.ipynb"


def test_it_runs(tmp_path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    notebook = nbformat.read(PATH, as_version=4)
    NotebookClient(notebook, timeout=None, kernel_name="python3", resources={"metadata": {"path": tmp_path}}).execute()
    said = {
        cell.id: "".join(shown(output) for output in cell.outputs)
        for cell in notebook.cells
        if cell.cell_type == "code"
    }
    (trained,) = (text for text in said.values() if "stopped after step 4" in text)
    assert "grpo 1/6" in trained  # progress, in lines
    assert "(True, 4, 4)" in trained
    assert any("<svg" in text for text in said.values())  # the run itself
    assert (tmp_path / "runs" / "notebook" / "report.html").is_file()


def test_it_stands_there_as_it_ran():
    cells = [cell for cell in nbformat.read(PATH, as_version=4).cells if cell.cell_type == "code"]
    assert all(cell.execution_count for cell in cells)
    assert [output for cell in cells for output in cell.outputs if output.output_type == "error"] == []
    assert PATH.stat().st_size < 500_000


def shown(output):
    return output.get("text", "") + "".join(map(str, output.get("data", {}).values()))
