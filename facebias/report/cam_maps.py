"""Where runs look on many faces: maps and attention, batch by batch to disk."""

import logging
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray
from omegaconf import DictConfig, OmegaConf

from facebias.cam.attention import attention
from facebias.cam.explain import Maps, class_maps
from facebias.cam.regions import RegionMasks, Source, merge_regions, merging
from facebias.cam.targets import Targets, named_targets, part
from facebias.cam.template import CROP_EYES
from facebias.data.predictions import PROBABILITY
from facebias.data.store import progress_bar
from facebias.data.table import LANDMARKS
from facebias.errors import ConfigError, DataError
from facebias.files import whole_file
from facebias.models.classifier import FaceClassifier
from facebias.models.explained import network_layers, plain_layer
from facebias.report.face_regions import region_source, regions_of_faces
from facebias.runs.explained import ExplainedFaces, Places
from facebias.runs.trained import TrainedRun

logger = logging.getLogger(__name__)

ATTENTION, MAPS = "attention.parquet", "maps"
SOURCES: Mapping[Source, str] = {
    "masks": "the data set's masks",
    "landmarks": "the data set's landmarks",
    "template": "a template, the same for every face (no masks or landmarks are known)",
}
"""From what regions are known, in words."""
_TOLERANCE = 0.1  # of a probability; a GPU in half precision differs by a few hundredths
_SAMPLE = 64  # faces by which it is decided which regions are too small
_MASKED = 2**22  # pixels times regions whose masks are in memory together
_KEPT = 4  # times as many are kept for the next run


@dataclass(frozen=True)
class Question:
    """What is asked of every run.

    Args:
        method: a name in `facebias.cam.methods.METHODS`.
        layer: "auto", "stages", or names of modules of the networks.
        target: a class, "label", "predicted", or a pair: for one, against the other.
        batch_size: faces in one forward.
        device: "cpu" or "cuda".
        eyes: where the eyes are in every face that no masks or landmarks are known of: x and y of
            each, as shares of width and height.
    """

    method: str
    layer: str | Sequence[str]
    target: str | Sequence[str]
    batch_size: int
    device: str = "cpu"
    eyes: Sequence[Sequence[float]] = CROP_EYES

    @property
    def words(self) -> str:
        """What the maps explain, in words."""
        if not isinstance(self.target, str):
            return f"{_class(self.target[0])} against {self.target[1]}"
        words = {"predicted": "the predicted class"}
        return words.get(self.target, _class(self.target))

    @property
    def comparable(self) -> bool:
        """Whether the maps of all runs are for the same class of each face."""
        return self.target != "predicted"


def _class(name: str) -> str:
    return "each face's own class" if name == "label" else f"the class {name}"


def read_question(config: DictConfig) -> Question:
    """Return what a configuration asks.

    Args:
        config: a checked `facebias.schemas.Cam`.

    Raises:
        ConfigError: for a layer or a target that is neither a name nor names.
    """
    layer, target = (_names(config, key) for key in ("layer", "target"))
    eyes = CROP_EYES if config.eyes is None else [list(point) for point in config.eyes]
    return Question(config.method, layer, target, config.batch_size, config.device, eyes)


def _names(config: DictConfig, key: str) -> str | list[str]:
    given = config[key]
    found = OmegaConf.to_object(given) if OmegaConf.is_config(given) else given
    listed = [found] if isinstance(found, str) else found
    if not isinstance(listed, list) or not listed or not all(isinstance(n, str) for n in listed):
        raise ConfigError(f"{key} is {found!r}", "a name, or a list of names", f"correct {key}")
    return found if isinstance(found, str) else listed


@dataclass(frozen=True)
class Regions:
    """Which regions the maps are held against, the same for all faces and runs.

    Attributes:
        source: "masks", "landmarks" or "template".
        eyes: of a template.
        merged: for each region its name after merging those smaller than a cell; empty before it
            is decided.
    """

    source: Source
    eyes: Sequence[Sequence[float]]
    merged: Mapping[str, str]

    @property
    def names(self) -> tuple[str, ...]:
        """The regions after merging."""
        return tuple(dict.fromkeys(self.merged.values()))

    def of(self, faces: ExplainedFaces, rows: Places) -> RegionMasks:
        """Return the regions of some faces."""
        table, crops = faces.table, faces.store.crops[faces.stored(rows)]
        own = table.rows.iloc[rows]
        found = regions_of_faces(table.root, own, crops, faces.size, self.source, self.eyes)
        return merge_regions(found, self.merged) if self.merged else found


@dataclass(frozen=True)
class ExplainedRun:
    """What was found of a run, and where it lies.

    Attributes:
        run: the run.
        variant: the name of its variant: of the runs that differ from it in their seed only.
        faces: as it sees them.
        layer: what was explained.
        maps: file of the maps (N, h, w), float16.
        cells: h, w.
        undefined: faces whose map is zero everywhere.
    """

    run: TrainedRun
    variant: str
    faces: ExplainedFaces
    layer: str
    maps: Path
    cells: tuple[int, int]
    undefined: int

    @property
    def name(self) -> str:
        """What tells it from the other runs."""
        return self.run.name

    @property
    def seed(self) -> int:
        """Of the training."""
        return int(self.run.config.seed)

    def read_maps(self, rows: Places) -> NDArray[np.float32]:
        """Return the maps of some faces; the file is closed again, so that none stays in memory."""
        maps = np.load(self.maps, mmap_mode="r", allow_pickle=False)
        return np.asarray(maps[rows], np.float32)


def explain_runs(
    runs: Sequence[TrainedRun],
    faces: Sequence[ExplainedFaces],
    question: Question,
    folder: Path,
    variants: Mapping[str, str],
) -> tuple[list[ExplainedRun], Regions]:
    """Write the maps of every run, and where they have their mass.

    `maps/<number>_<run>.npy` has the maps of a run, float16, in the order of the faces;
    `attention.parquet` a row a run and face: what was answered, the class explained, and what
    `facebias.cam.attention.attention` measures. Memory does not depend on the number of faces.

    Args:
        runs: as `facebias.runs.explained.load_explained` returns them.
        faces: of each run.
        question: what is asked.
        folder: of the results.
        variants: the name of each run's variant.

    Raises:
        ConfigError: for a target that is no class, or a layer that the method does not take.
        DataError: for faces without what is asked of them.
        ModelError: for a layer that a network does not have.
    """
    places: dict[Any, _Place] = {}
    plans = [
        _planned(run, variants[run.name], own, question, places)
        for run, own in zip(runs, faces, strict=True)
    ]
    regions = _settled(faces[0], [plan.place.cells for plan in plans], question.eyes)
    measured = {key: _Measured(own, regions) for key, own in {id(f): f for f in faces}.items()}
    found = []
    total = sum(map(len, faces))
    with (
        progress_bar("looking where the networks look", total) as advance,
        _table(folder / ATTENTION) as write,
    ):
        for number, plan in enumerate(plans):
            name = f"{number}_{re.sub(r'[^a-zA-Z0-9]+', '_', plan.run.name)}.npy"
            own = measured[id(plan.faces)]
            found.append(_explain(plan, own, folder / MAPS / name, write, advance))
    return found, regions


def question_words(question: Question, runs: Sequence[ExplainedRun]) -> str:
    """Return what the maps of runs are, for the line below a picture's title."""
    layers = " and ".join(dict.fromkeys(run.layer for run in runs))
    return f"{question.method} of {layers}, for {question.words}"


def read_attention(folder: Path) -> pd.DataFrame:
    """Return the table that `explain_runs` wrote; words that stand often are kept once."""
    file = pq.ParquetFile(folder / ATTENTION)
    text = [field.name for field in file.schema_arrow if str(field.type) == "string"]
    return pq.read_table(folder / ATTENTION, read_dictionary=text).to_pandas()


@dataclass(frozen=True)
class _Place:
    """Where in a network maps are made, and of how many cells, h and w."""

    layer: str | tuple[str, ...]
    cells: tuple[int, int]


@dataclass(frozen=True)
class _Plan:
    """How a run is explained; its network is loaded when its turn comes."""

    run: TrainedRun
    variant: str
    faces: ExplainedFaces
    question: Question
    targets: Targets
    place: _Place

    def maps(self, model: FaceClassifier, rows: slice) -> Maps:
        """Return the maps of some faces."""
        return class_maps(
            model,
            self.faces.images(rows),
            part(self.targets, rows),
            layer=self.place.layer,
            method=self.question.method,
            batch_size=self.question.batch_size,
        )


def _planned(
    run: TrainedRun,
    variant: str,
    faces: ExplainedFaces,
    question: Question,
    places: dict[Any, _Place],
) -> _Plan:
    """Find layer and cells; what cannot be is refused before anything is written.

    Args:
        run: to explain.
        variant: its name.
        faces: of the run.
        question: what is asked.
        places: of the networks that were looked at already; runs of one network share theirs.
    """
    targets = run_targets(run, faces, question)
    network = OmegaConf.to_yaml(run.config.model), faces.size, len(run.classes)
    if network not in places:
        places[network] = _place(run, faces, question)
    return _Plan(run, variant, faces, question, targets, places[network])


def _place(run: TrainedRun, faces: ExplainedFaces, question: Question) -> _Place:
    """Find layer and cells of a network by one face."""
    model, example = load_model(run, question), faces.images(slice(1))
    layer = network_layers(model, example, question.layer, question.method)
    nothing = torch.zeros(1, dtype=torch.int64)
    maps = class_maps(model, example, nothing, layer=layer, method=question.method)
    return _Place(layer, (maps.values.shape[1], maps.values.shape[2]))


def run_targets(run: TrainedRun, faces: ExplainedFaces, question: Question) -> Targets:
    """Return the class that is explained on each face, by its number in the run.

    Raises:
        ConfigError: for a target that is no class.
        DataError: where each face's own class is asked for and one has none.
    """
    labels = faces.table.rows["label"]
    named = [question.target] if isinstance(question.target, str) else question.target
    if "label" in named and labels.isna().any():
        raise DataError(
            f"{int(labels.isna().sum())} of {len(labels)} faces have no label",
            "a label for every face, as target is label",
            f"give target=CLASS, one of {', '.join(run.classes)}, or target=predicted",
        )
    return named_targets(question.target, run.classes, list(labels))


def load_model(run: TrainedRun, question: Question) -> FaceClassifier:
    """Return a run's network on the device that was asked for."""
    return run.model().to(question.device)


def _settled(
    faces: ExplainedFaces, cells: Sequence[tuple[int, int]], eyes: Sequence[Sequence[float]]
) -> Regions:
    """Decide once from what the regions are known, and which are smaller than a cell of any run."""
    rows = faces.table.rows
    source = region_source(rows)
    known = rows[LANDMARKS].notna() if source == "landmarks" else pd.Series(True, rows.index)
    places = np.flatnonzero(known)
    sample = places[np.linspace(0, len(places) - 1, min(_SAMPLE, len(places))).astype(int)]
    coarsest = min(cells, key=lambda size: size[0] * size[1])
    unmerged = Regions(source, eyes, {}).of(faces, sample)
    regions = Regions(source, eyes, merging(unmerged, coarsest))
    for new in regions.names:
        parts = [name for name, joined in regions.merged.items() if joined == new]
        if len(parts) > 1:
            logger.warning(
                "%s are one region: on its own one is smaller than a cell", " and ".join(parts)
            )
    return regions


def _explain(
    plan: _Plan,
    measured: "_Measured",
    file: Path,
    write: Callable[[pd.DataFrame], None],
    advance: Callable[[int], None],
) -> ExplainedRun:
    """Write the maps and the rows of one run."""
    model = load_model(plan.run, plan.question)
    faces, size, undefined = plan.faces, plan.question.batch_size, 0
    written = None
    if faces.split is not None:
        rows = plan.run.predictions_of(faces.split).set_index("id", drop=False)
        written = rows.loc[faces.table.rows["id"]]
    layer = ""
    with _maps_file(file, (len(faces), *plan.place.cells)) as append:
        for start in range(0, len(faces), size):
            rows = slice(start, min(start + size, len(faces)))
            maps = plan.maps(model, rows)
            if written is not None:
                logits = torch.from_numpy(maps.logits)
                _refuse_other_answers(plan.run, written.iloc[rows], logits)
            append(maps.values)
            answers = _answers(plan, rows, maps).assign(regions=measured.source)
            write(answers.join(measured.of(maps.values, rows)))
            undefined += int((~maps.defined).sum())
            layer = plain_layer(maps.layer)
            advance(rows.stop - rows.start)
    cells = plan.place.cells
    return ExplainedRun(plan.run, plan.variant, faces, layer, file, cells, undefined)


def _refuse_other_answers(run: TrainedRun, written: pd.DataFrame, logits: torch.Tensor) -> None:
    """Refuse images (or weights) that give other probabilities than the run has written down.

    Args:
        run: that was evaluated on these faces.
        written: their rows of its predictions, N.
        logits: (N, classes).

    Raises:
        DataError: if one differs by more than a tenth.
    """
    expected = written[[f"p_{name}" for name in run.classes]].to_numpy()
    differ = np.abs(logits.softmax(1).numpy() - expected).max(axis=1) > _TOLERANCE
    if differ.any():
        raise DataError(
            f"{differ.sum()} of {len(written)} faces get other probabilities than {run.folder} has "
            f"in its predictions, the first is {written['id'][differ].iloc[0]}",
            "the images and the weights that it was evaluated with",
            "put them back, or train again with the images that are there",
        )


class _Measured:
    """Attention of faces; the masks of a template, or of few faces, are made once."""

    def __init__(self, faces: ExplainedFaces, regions: Regions) -> None:
        self._faces, self._regions = faces, regions
        height, width = faces.size
        self._some = max(1, _MASKED // (height * width * len(regions.merged)))
        self._shared = regions.of(faces, slice(1)) if regions.source == "template" else None
        self._kept: RegionMasks | None = None

    @property
    def source(self) -> Source:
        """From what the regions are known."""
        return self._regions.source

    def _masks(self, rows: slice) -> RegionMasks:
        """Return the masks of some faces; those of few faces are the same for the next run."""
        if len(self._faces) > _KEPT * self._some:
            return self._regions.of(self._faces, rows)
        if self._kept is None:
            self._kept = self._regions.of(self._faces, slice(len(self._faces)))
        kept = self._kept
        return replace(kept, masks=kept.masks[rows], face=kept.face[rows])

    def of(self, maps: NDArray[np.float32], rows: slice) -> pd.DataFrame:
        """Return a row for each of these faces."""
        if self._shared is not None:
            return attention(maps, self._shared)
        parts = []
        for start in range(rows.start, rows.stop, self._some):
            some = slice(start, min(start + self._some, rows.stop))
            own = maps[some.start - rows.start : some.stop - rows.start]
            parts.append(attention(own, self._masks(some)))
        return pd.concat(parts, ignore_index=True)


def _answers(plan: _Plan, rows: slice, maps: Maps) -> pd.DataFrame:
    """Return who was asked about which faces, and what was answered."""
    run, classes = plan.run, np.array(plan.run.classes, object)
    table = plan.faces.table
    given = table.rows.iloc[rows]
    probabilities = torch.from_numpy(maps.logits).softmax(1).numpy()
    columns: dict[str, Any] = {
        "run": run.name,
        "variant": plan.variant,
        "seed": int(run.config.seed),
        "id": given["id"].to_numpy(object),
        "label": given["label"].to_numpy(object),
        "predicted": classes[probabilities.argmax(axis=1)],
        "target": classes[maps.targets],
        "against": None if maps.against is None else classes[maps.against],
        **{f"{PROBABILITY}{name}": probabilities[:, n] for n, name in enumerate(classes)},
        **{name: given[name].to_numpy(object) for name in table.attributes},
        "identity": given["identity"].to_numpy(object),
    }
    return pd.DataFrame(columns, index=range(len(given)))


@contextmanager
def _maps_file(
    path: Path, shape: tuple[int, ...]
) -> Iterator[Callable[[NDArray[np.float32]], None]]:
    """Write an array batch by batch.

    Not through a memory map: what is written there stays in memory, and a full disk kills.
    """
    with whole_file(path) as temporary, temporary.open("wb") as file:
        header = {"descr": "<f2", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        yield lambda maps: _append(file, maps)


def _append(file: Any, maps: NDArray[np.float32]) -> None:  # noqa: ANN401 - a binary file
    file.write(np.ascontiguousarray(maps, "<f2").tobytes())


@contextmanager
def _table(path: Path) -> Iterator[Callable[[pd.DataFrame], None]]:
    """Write a Parquet file, a row group a batch; the first batch says the columns."""
    with whole_file(path) as temporary:
        writers: list[pq.ParquetWriter] = []

        def write(rows: pd.DataFrame) -> None:
            if not writers:
                writers.append(pq.ParquetWriter(temporary, _schema(rows)))
            schema = writers[0].schema
            writers[0].write_table(pa.Table.from_pandas(rows, schema, preserve_index=False))

        try:
            yield write
        finally:
            for writer in writers:
                writer.close()


def _schema(rows: pd.DataFrame) -> pa.Schema:
    """Return the type of each column: text, whole numbers, or single precision."""
    kinds = {"f": pa.float32(), "i": pa.int64()}
    return pa.schema([(name, kinds.get(rows[name].dtype.kind, pa.string())) for name in rows])
