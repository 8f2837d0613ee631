import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
from omegaconf import OmegaConf
from rich.console import Console

from facebias.report.pages import write_run_report
from facebias.report.results import read_results
from facebias.report.summary import decimal, flip_lines, print_summary
from facebias.train import train
from tests.trained import compose_train


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, faces_root: Path) -> Path:
    return train(compose_train(tmp_path_factory.mktemp("run"), faces_root))


def test_names_are_escaped(run: Path, tmp_path: Path) -> None:
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    config = OmegaConf.load(copy / "config.yaml")
    config.name = "<script>alert(1)</script>"
    OmegaConf.save(config, copy / "config.yaml")
    report = json.loads((copy / "fairness.json").read_text())
    report["test"]["groups"][1]["group"] = "<img src=x onerror=alert(2)>"
    (copy / "fairness.json").write_text(json.dumps(report))
    write_run_report(copy)
    page = (copy / "report.html").read_text()
    assert "<script" not in page
    assert "<img src=x" not in page
    assert "&lt;script&gt;" in page


def test_every_number_of_the_table_is_on_the_page(run: Path) -> None:
    page = (run / "report.html").read_text()
    for row in read_results(run).fairness["test"]["groups"]:
        assert f"<td>{row['n']}</td><td>{decimal(row['accuracy'])}</td>" in page


def test_undefined_is_a_dash_and_never_0(run: Path, tmp_path: Path) -> None:
    assert decimal(None) == "–"
    assert decimal(0.0) == "0.000"
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    report = json.loads((copy / "fairness.json").read_text())
    report["test"]["groups"][1] |= {"n": 0, "accuracy": None, "macro_f1": None, "status": "empty"}
    (copy / "fairness.json").write_text(json.dumps(report))
    write_run_report(copy)
    assert "<td>0</td><td>–</td>" in (copy / "report.html").read_text()


def test_the_summary_names_the_files_that_are_there(run: Path) -> None:
    console = Console(record=True, width=120)
    print_summary(run, console)
    printed = console.export_text()
    for name in ("report.html", "fairness.csv", "cam/sheet.png", "predictions.parquet"):
        assert name in printed
    assert "gender, accuracy:" in printed
    assert "160 (flipped copy of …)" in printed


def test_the_headline_is_the_test_split_or_else_validation(run: Path) -> None:
    results = read_results(run)
    assert results.headline_split == "test"
    validation = results.predictions[results.predictions["split"] != "test"]
    assert isinstance(validation, pd.DataFrame)
    object.__setattr__(results, "predictions", validation)
    assert results.headline_split == "validation"


def flips(before: str, share: float | None) -> dict[str, object]:
    interval = {"low": None, "high": None} if share is None else {"low": 0.58, "high": 0.64}
    n = 0 if share is None else 1000
    values = {"factor": "skin_ita", "before": before, "after": "-50"}
    return {**values, "n": n, "share": share, **interval}


def test_flips_are_said_in_one_line_of_values_that_were_set(tmp_path: Path) -> None:
    found = {"test": [flips("its own value", 0.5), flips("47", 0.612)]}
    (tmp_path / "counterfactual.json").write_text(json.dumps(found))
    assert flip_lines(tmp_path, "test") == [
        "flips: 61.2 % (58 to 64) of 1,000 faces change their predicted label when only skin_ita "
        "changes from 47 to -50"
    ]
    assert flip_lines(tmp_path, "validation") == []


def test_flips_of_no_pairs_are_a_dash(tmp_path: Path) -> None:
    assert flip_lines(tmp_path, "test") == []
    (tmp_path / "counterfactual.json").write_text(json.dumps({"test": [flips("47", None)]}))
    assert flip_lines(tmp_path, "test")[0].startswith("flips: – % (– to –) of 0 faces")
