"""The table of folds of `python -m facebias.summary`."""

from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from rich.console import Console
from sklearn.metrics import accuracy_score, f1_score, precision_score, recall_score

from facebias.report.folds import MEAN, METRICS, fold_table, printed_folds
from facebias.runs.summary import read_finished
from facebias.summary import summary
from tests.made_runs import FOLDS, write_run
from tests.trained import compose_summary

SKLEARN = {
    "accuracy": accuracy_score,
    **{
        f"{average}_{name}": partial(measure, average=average, zero_division=0)
        for average in ("macro", "micro")
        for name, measure in (
            ("precision", precision_score),
            ("recall", recall_score),
            ("f1", f1_score),
        )
    },
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("folds")
    # Not in the order of the folds.
    return [write_run(folder / f"fold{fold}", fold=fold) for fold in reversed(range(FOLDS))]


def test_each_fold_has_the_metrics_of_scikit_learn_and_the_mean_is_theirs(
    runs: list[Path],
) -> None:
    table = fold_table(read_finished(runs))
    assert table is not None
    assert set(METRICS) == set(SKLEARN)
    for split in ("validation", "test"):
        rows = table[table["split"] == split]
        assert rows["fold"].tolist() == [*range(FOLDS), MEAN]
        for fold, run in enumerate(reversed(runs)):
            own = pd.read_parquet(run / "predictions.parquet").query("split == @split")
            assert rows.iloc[fold]["n"] == len(own)
            for name, measure in SKLEARN.items():
                assert rows.iloc[fold][name] == pytest.approx(
                    measure(own["label"], own["predicted"])
                )
        for name in METRICS:
            mean = np.mean(rows[name].to_numpy()[:-1].astype(float))
            assert rows.iloc[-1][name] == pytest.approx(mean)


@pytest.mark.slow
def test_settings_and_seeds_have_means_of_their_own(runs: list[Path], tmp_path: Path) -> None:
    women = ("bias=attribute_shares", "bias.attribute=gender", "bias.variant=women")
    others = [write_run(tmp_path / f"women{fold}", *women, fold=fold) for fold in range(FOLDS)]
    seeds = [write_run(tmp_path / f"seed{fold}", seed=1, fold=fold) for fold in range(FOLDS)]
    table = fold_table(read_finished([*runs, *others, *seeds]))
    assert table is not None
    means = table[(table["fold"] == MEAN) & (table["split"] == "validation")]
    assert means[["bias.variant", "seed"]].values.tolist() == [
        ["none", 0],
        ["women", 0],
        ["none", 1],
    ]


def test_without_two_folds_there_is_no_table(runs: list[Path]) -> None:
    assert fold_table(read_finished(runs[:1])) is None


def test_the_verb_writes_and_prints_it(
    runs: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    listed = ",".join(map(str, runs))
    folder = summary(compose_summary(tmp_path, f"runs=[{listed}]"))
    written = pd.read_csv(folder / "folds.csv")
    assert written["fold"].tolist() == ["0", "1", "2", MEAN] * 2
    text = (folder / "folds.tex").read_text()
    assert r"\toprule" in text
    assert f"{written['accuracy'].iloc[3]:.3f}" in text
    printed = capsys.readouterr().out
    assert "fold by fold" in printed
    assert "folds.csv" in printed
    single = summary(compose_summary(tmp_path, f"runs=[{runs[0]}]", f"paths.run={tmp_path}/one"))
    assert not (single / "folds.csv").exists()


def test_an_undefined_metric_has_no_mean_and_is_a_dash(runs: list[Path]) -> None:
    table = fold_table(read_finished(runs))
    assert table is not None
    table.loc[0, "macro_f1"] = np.nan
    printed = printed_folds(table, "validation")
    assert printed is not None
    console = Console(record=True, width=160)
    console.print(printed)
    assert "–" in console.export_text()
    long = pd.concat([table] * 10, ignore_index=True)
    assert printed_folds(long, "validation") is None
