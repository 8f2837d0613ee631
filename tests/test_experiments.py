"""Experiments, each run from end to end on a look-alike of its data set."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig

from facebias.config import check, conf_folder, register_resolvers
from facebias.schemas import Train
from tests.drawn_faces import write_class_folders
from tests.generated_folder import generated_rows, write_folder
from tests.lookalikes.affectnet import write_arrays, write_lists
from tests.lookalikes.celeba import write_celeba, write_celeba_csv
from tests.lookalikes.fairface import write_fairface
from tests.lookalikes.fer2013 import write_csv
from tests.lookalikes.pixel_csv import write_pixel_csv
from tests.lookalikes.rafdb import write_rafdb
from tests.lookalikes.utkface import write_utkface

Writer = Callable[[Path], Path]

SMALL = (
    "trainer.max_epochs=1",
    "callbacks.fairness.replicates=100",
    "callbacks.fairness.min_group=2",
    "callbacks.cam.per_group=1",
    "~callbacks.progress",
    "+trainer.enable_progress_bar=false",
)
# Small nets stand in for those that take hours without an accelerator.
SMALL_NET = ("model=cnn1", "model.filters=[8]", "data.height=32")
# At 32 pixels drawn faces of one expression are alike enough to count as copies.
VALENCE = (
    *SMALL_NET,
    "~model.pretrained",
    "data.copies=report",
    "data.folds=4",
    "bias.total=18",
)
GROUPS = (
    "data.side_table.file={root}/groups.csv",
    "data.side_table.attributes={{gender: [female, male]}}",
)


def _lists(root: Path) -> Path:
    return write_lists(root, train=24, test=4)


def _arrays(root: Path) -> Path:
    return write_arrays(root, train=24, test=4)


def _navarasa(root: Path) -> Path:
    return write_pixel_csv(root / "navarasa.csv", each=16)


def _generated(root: Path) -> Path:
    return write_folder(root, generated_rows(240))


def _rafdb(root: Path) -> Path:
    return write_rafdb(root, train=16)


# The name of an experiment, its look-alike, and what makes it small. `data.folds=4` because a
# tenth of so few faces has not every class.
EXPERIMENTS: dict[str, tuple[Writer, tuple[str, ...]]] = {
    "affectnet_positive": (_lists, (*VALENCE, *GROUPS)),
    "affectnet_negative": (_lists, VALENCE),
    "affectnet_neutral": (_arrays, VALENCE),
    "affectnet_balanced": (_arrays, VALENCE),
    "celeba_unbalanced": (write_celeba, (*SMALL_NET, "data.height=64")),  # told apart by the gate
    "celeba_balanced": (write_celeba_csv, SMALL_NET),
    "fer2013": (write_csv, ()),
    "navarasa": (_navarasa, ("data.folds=4",)),
    "navarasa_augmented": (_navarasa, ("data.folds=4",)),
    "navarasa_vgg16": (_navarasa, (*SMALL_NET[:2], "~model.pretrained", "data.folds=4")),
    "emotions_cnn": (write_class_folders, ("model.layers=5", "model.kernel=9", "model.first=4")),
    "emotions_leaky": (write_class_folders, ("data.folds=4",)),
    "emotions_reweighed": (write_class_folders, ()),
    "emotions_undersampled": (write_class_folders, ()),
    "faces_gender_unbalanced": (_generated, (*SMALL_NET, "data.copies=report")),
    "faces_gender_balanced": (_generated, (*SMALL_NET, "data.copies=report")),
    "rafdb": (_rafdb, ("data.folds=4",)),
    "utkface": (write_utkface, ()),
    "fairface": (write_fairface, ()),
}
FILES = (
    "config.yaml", "environment.json", "split.parquet", "predictions.parquet", "fairness.json",
    "fairness.csv", "metrics.csv", "checkpoints/last.ckpt", "report.html", "cam/sheet.png",
    "answers.png",
)  # fmt: skip


def run_experiment(folder: Path, name: str, root: Path, *overrides: str) -> Path:
    """Run an experiment in a process of its own, and return the run's folder."""
    command = [sys.executable, "-m", "facebias.train", f"+experiment={name}", f"data.root={root}"]
    places = [f"paths.run={folder}/run", f"paths.cache={folder}/cache"]
    said = [override.format(root=root) for override in overrides]
    done = subprocess.run(  # noqa: S603 - our own command
        [*command, *places, *SMALL, *said], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return folder / "run"


def composed(name: str) -> DictConfig:
    register_resolvers()
    overrides = [f"+experiment={name}", "data.root=/faces", "paths.run=/out"]
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        return check(compose("train", overrides), Train)


def test_the_affectnet_experiments_differ_in_their_variant_alone() -> None:
    configs = {}
    for variant in ("positive", "negative", "neutral", "balanced"):
        config = dict(composed(f"affectnet_{variant}"))
        assert config.pop("name") == f"affectnet_{variant}"
        bias = dict(config["bias"])
        assert bias.pop("variant") == variant
        assert (bias["total"], bias["within"]) == (30_000, "expression")
        configs[variant] = {**config, "bias": bias}
    assert all(config == configs["balanced"] for config in configs.values())


def test_the_celeba_experiments_are_each_others_twins() -> None:
    unbalanced, balanced = (composed(f"celeba_{name}") for name in ("unbalanced", "balanced"))
    assert unbalanced.bias.twins == [balanced.bias.shares]
    assert balanced.bias.twins == [unbalanced.bias.shares]
    assert set(unbalanced.bias.shares) == set(unbalanced.data.reader.classes)
    for part in ("data", "model", "optimizer", "scheduler", "trainer"):
        assert unbalanced[part] == balanced[part]


@pytest.mark.slow
@pytest.mark.parametrize("name", EXPERIMENTS)
def test_an_experiment_runs_to_the_end_on_its_look_alike(name: str, tmp_path: Path) -> None:
    write, overrides = EXPERIMENTS[name]
    run = run_experiment(tmp_path, name, write(tmp_path / "data"), *overrides)
    assert json.loads((run / "status.json").read_text())["status"] == "done"
    missing = [file for file in FILES if not (run / file).is_file()]
    assert not missing
    rows = pd.read_parquet(run / "split.parquet")
    used = rows[rows["left_out"] == ""]
    predictions = pd.read_parquet(run / "predictions.parquet")
    assert sorted(predictions["id"]) == sorted(used["id"])
    assert set(used["split"]) == {"train", "validation", "test"}


@pytest.mark.slow
def test_efficientnet_b2_takes_a_few_steps(tmp_path: Path) -> None:
    run = run_experiment(
        tmp_path,
        "affectnet_balanced",
        write_lists(tmp_path / "data", train=12, test=1),
        "model.pretrained=false",
        "data.height=64",
        "data.batch_size=4",
        "data.folds=4",
        "bias.total=12",
        "trainer.limit_train_batches=2",
    )
    assert json.loads((run / "status.json").read_text())["status"] == "done"
