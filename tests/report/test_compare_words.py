"""What a comparison says of runs that were never trained."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd
import pytest
from omegaconf import DictConfig, OmegaConf

from facebias.report.compare_measures import Comparison, compare_runs
from facebias.report.compare_runs import curve_table, leak_table, run_table
from facebias.report.compare_words import VERDICTS, leak_words, statements
from facebias.report.paired import find_variants
from facebias.runs.trained import load_runs
from tests.made_runs import write_run


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two seeds of each of two variants."""
    folder = tmp_path_factory.mktemp("made")
    made = [
        write_run(folder / f"{name}{seed}", f"bias.variant={name}", seed=seed)
        for name in ("one", "other")
        for seed in (0, 1)
    ]
    for run in made:
        add(run, "normalisation.json", {"mean": [0.5], "sha256": "same"})
        add(run, "composition.json", {"attributes": [], "says": []})
    return made


@pytest.fixture(scope="module")
def comparison(folders: list[Path]) -> Comparison:
    return compare_runs(load_runs(folders))


def add(run: Path, name: str, content: dict[str, object]) -> None:
    (run / name).write_text(json.dumps(content))


def changed(
    folders: Sequence[Path], tmp_path: Path, change: Callable[[DictConfig], object]
) -> list[Path]:
    """Return links to runs, the configuration of each changed."""
    copies = []
    for run in folders:
        copy = tmp_path / run.name
        copy.mkdir()
        for file in run.iterdir():
            if file.name != "config.yaml":
                (copy / file.name).symlink_to(file)
        config = OmegaConf.load(run / "config.yaml")
        assert isinstance(config, DictConfig)
        change(config)
        OmegaConf.save(config, copy / "config.yaml")
        copies.append(copy)
    return copies


def replaced(run: Path, name: str, content: dict[str, object]) -> None:
    (run / name).unlink()
    add(run, name, content)


def said(comparison: Comparison) -> pd.DataFrame:
    return pd.DataFrame([vars(each) for each in statements(comparison, {})])


def nothing(_: DictConfig) -> None:
    """Change nothing."""


def test_seeds_faces_and_accuracies_are_told(comparison: Comparison) -> None:
    found = said(comparison)
    assert "warning" not in set(found["verdict"])
    first = found["text"].iloc[0]
    assert first == "2 variants of 2 seeds each, 4 runs, all measured on the same 80 test faces."
    assert found["text"].iloc[1].startswith("The variants are twins")
    table = comparison.tables["groups"]
    rows = table[(table["attribute"] == "all") & (table["metric"] == "accuracy")]
    for row in rows[rows["reading"] == "raw"].to_dict(orient="records"):
        assert f"“{row['variant']}” on {100 * row['value']:.1f} %" in found["text"].iloc[2]


def test_the_order_is_that_of_the_page(comparison: Comparison) -> None:
    order = [VERDICTS.index(verdict) for verdict in said(comparison)["verdict"]]
    assert order == sorted(order)


def test_every_supported_pair_is_told_and_counts_are_those_of_the_table(
    comparison: Comparison,
) -> None:
    table, found = comparison.tables["paired_differences"], said(comparison)
    whole = table[(table["kind"] == "all") & (table["metric"] == "accuracy")]
    assert set(whole["says"]) <= set(found["text"])
    groups = table[table["kind"] != "all"]
    unknown = int((groups["verdict"] == "cannot tell").sum())
    (counted,) = found[found["about"] == "groups"]["text"]
    assert f"{unknown:,} cannot be told from 0" in counted


def test_what_was_not_measured_is_told(comparison: Comparison) -> None:
    found = said(comparison)
    missing = " ".join(found[found["verdict"] == "not measured"]["text"])
    for words in ("Valences: not every label has one", "Maps: there are none", "CPU time"):
        assert words in missing
    assert "Learning curves: no run has logged" in missing


def test_variants_that_are_no_twins_are_told_first(folders: list[Path], tmp_path: Path) -> None:
    def smooth(config: DictConfig) -> None:
        config.classifier.label_smoothing = 0.1

    copies = changed(folders[2:], tmp_path, smooth)
    first = said(compare_runs(load_runs([*folders[:2], *copies]))).iloc[0]
    assert (first["verdict"], first["about"]) == ("warning", "twins")
    assert "are no twins: same settings otherwise no: classifier.label_smoothing" in first["text"]


def test_seeds_that_were_trained_on_other_faces_are_told(
    folders: list[Path], tmp_path: Path
) -> None:
    copies = changed(folders, tmp_path, nothing)
    rows = pd.read_parquet(folders[1] / "split.parquet")
    train = rows.index[rows["split"] == "train"]
    rows.loc[train[0], "left_out"] = "not in the composition"
    (copies[1] / "split.parquet").unlink()
    rows.to_parquet(copies[1] / "split.parquet", index=False)
    found = said(compare_runs(load_runs(copies)))
    (warning,) = found[found["verdict"] == "warning"]["text"]
    assert warning.startswith("one, seed 1: not trained on the same faces as the first seed")


def test_leaks_and_other_code_are_told_before_all_else(folders: list[Path], tmp_path: Path) -> None:
    copies = changed(folders, tmp_path, nothing)
    line = "LEAK: 3 of 24 test faces have a copy among the train faces"
    replaced(copies[0], "composition.json", {"attributes": [], "says": [line, "another"]})
    replaced(copies[3], "environment.json", {"commit": "1abc", "device": "a GPU"})
    replaced(copies[0], "environment.json", {"commit": "0abc", "device": "a CPU"})
    comparison = compare_runs(load_runs(copies))
    found = said(comparison)
    warnings = found[found["verdict"] == "warning"]["text"].tolist()
    assert warnings[0] == f"{line} (one)."
    assert "2 commits of facebias (0abc, 1abc)" in warnings[1]
    assert leak_words(comparison).startswith(f"{line} (one).")
    assert found["text"].str.contains("3 kinds of devices: a CPU").any()


def test_one_seed_is_about_two_networks(folders: list[Path]) -> None:
    found = said(compare_runs(load_runs([folders[0], folders[2]])))
    (warning,) = found[found["verdict"] == "warning"]["text"]
    assert warning.startswith("One seed only: one, seed 0, other, seed 0.")
    assert "about these two networks" in warning


def test_seeds_of_one_variant_have_no_differences(folders: list[Path]) -> None:
    comparison = compare_runs(load_runs(folders[:2]))
    assert "paired_differences" not in comparison.tables
    found = said(comparison)
    assert found["text"].iloc[0].startswith("1 variant of 2 seeds, 2 runs")
    missing = found[found["verdict"] == "not measured"]["text"]
    assert missing.str.contains("all runs are seeds of one variant").any()


def test_curves_are_means_and_extremes_of_seeds(folders: list[Path], tmp_path: Path) -> None:
    """By hand: losses 1 and 3 in epoch 1, 1 and 2 in epoch 2."""
    copies = changed(folders[:2], tmp_path, nothing)
    for copy, losses in zip(copies, ((1.0, 1.0), (3.0, 2.0)), strict=True):
        rows = {"epoch": [0, 0, 1], "validation/loss": [losses[0], None, losses[1]]}
        pd.DataFrame(rows).to_csv(copy / "metrics.csv", index=False)
    table = curve_table(find_variants(load_runs(copies)))
    assert table["epoch"].tolist() == [1, 2]
    assert table[["mean", "low", "high"]].to_numpy().tolist() == [[2, 1, 3], [1.5, 1, 2]]
    assert set(table["seeds"]) == {2}


def test_pairs_that_leak_are_counted_by_kind(folders: list[Path], tmp_path: Path) -> None:
    copies = changed(folders[:2], tmp_path, nothing)
    pairs = {
        "first": ["a", "c", "e"],
        "second": ["b", "d", "f"],
        "kind": ["exact", "exact", "flipped"],
        "first_split": ["train", "train", None],
        "second_split": ["test", "train", None],
        "left_out": "",
    }
    pd.DataFrame(pairs).to_csv(copies[0] / "leaks.csv", index=False)
    table = leak_table(find_variants(load_runs(copies)))
    rows = table[["run", "kind", "pairs", "across"]].to_numpy().tolist()
    assert rows == [["one, seed 0", "exact", 2, 1], ["one, seed 0", "flipped", 1, 0]]


def test_cpu_time_is_that_of_the_status(folders: list[Path], tmp_path: Path) -> None:
    copies = changed(folders[:2], tmp_path, nothing)
    replaced(copies[0], "status.json", {"status": "done", "at": "now", "cpu_seconds": 12.5})
    table = run_table(find_variants(load_runs(copies)))
    assert table["cpu_seconds"].iloc[0] == 12.5
    assert table["cpu_seconds"].isna().tolist() == [False, True]
