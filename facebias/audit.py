"""Audit somebody else's predictions: tables, pictures and a page, by group.

python -m facebias.audit predictions=preds.csv label=gender predicted=predicted groups=[race,age]
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf

from facebias.commandline import run_verb
from facebias.errors import ConfigError
from facebias.schemas import Audit

if TYPE_CHECKING:
    from facebias.data.audited import AuditColumns, AuditedFaces, AuditValues

_COLUMNS = ("label", "predicted", "groups", "key", "identity", "confidence", "probabilities")
_ASKED = ("references", "positive", "estimated", "estimated_rows", "valences")
_VALUES = ("classes", "attributes", "label_map", "predicted_map", "group_map", "unmapped")


def audit(config: DictConfig) -> Path:
    """Audit predictions from a checked configuration.

    Args:
        config: `facebias.schemas.Audit`, as `facebias.config.check` returns it.

    Returns:
        The output folder.

    Raises:
        FacebiasError: for files, columns, values or folders that do not fit.
    """
    from facebias.data.audited import AuditColumns, AuditValues, read_audited
    from facebias.fairness.audit import audit as audit_faces
    from facebias.report.audit import print_audit, write_audit
    from facebias.runs.folder import open_run

    folder = Path(config.paths.run)
    said: Any = OmegaConf.to_container(config)
    columns = AuditColumns(**{name: said[name] for name in _COLUMNS})
    values = AuditValues(**{name: said[name] for name in _VALUES if said[name] is not None})
    truth = None if config.truth is None else Path(config.truth).expanduser()
    faces = read_audited(_files(config.predictions), columns, values, truth)
    trained = {
        model: _train_counts(train, faces, columns, values, said["fairness"]["intersections"])
        for model, train in _by_model(said["train"], faces.models).items()
    }
    with open_run(folder, config):
        found = audit_faces(
            faces.rows,
            **faces.columns(),
            **{name: said[name] for name in _ASKED},
            train_counts=trained,
            train_shares=_by_model(said["train_shares"], faces.models),
            **said["fairness"],
        )
        write_audit(found, faces.notes, config, folder)
    print_audit(found, folder)
    return folder


def _files(predictions: object) -> dict[str, Path]:
    """Return the file of each model; a single one is named by its file.

    Raises:
        ConfigError: if it is neither a file nor a mapping of names to files.
    """
    if isinstance(predictions, str):
        return {Path(predictions).stem: Path(predictions).expanduser()}
    if isinstance(predictions, DictConfig) and predictions:
        return {str(name): Path(str(file)).expanduser() for name, file in predictions.items()}
    raise ConfigError(
        f"predictions is {predictions!r}",
        "a file, or {NAME: FILE, NAME: FILE} for several models",
        "correct predictions",
    )


def _by_model(given: Any, models: Sequence[str]) -> dict[str, Any]:  # noqa: ANN401
    """Return what is given of each model: one thing for all, or {NAME: thing} of some."""
    if given is None:
        return {}
    if isinstance(given, dict) and given and set(given) <= set(models):
        return {str(name): each for name, each in given.items()}
    return dict.fromkeys(models, given)


def _train_counts(
    train: object,
    faces: AuditedFaces,
    columns: AuditColumns,
    values: AuditValues,
    intersections: Sequence[Sequence[str]] | None,
) -> dict[str, Any]:
    """Return the rows of each group and class that a model was trained on, by attribute.

    Raises:
        ConfigError: if it is neither a file nor counts of these attributes.
    """
    from facebias.data.audited import read_trained
    from facebias.fairness.amplification import train_counts
    from facebias.fairness.audit_further import named_counts

    if isinstance(train, str):
        rows = read_trained(Path(train).expanduser(), columns, values, faces)
        pairs = list(combinations(faces.attributes, 2)) if intersections is None else intersections
        return {**train_counts(rows, faces.classes, faces.attributes, pairs)}
    if not isinstance(train, dict) or not set(train) <= set(faces.attributes):
        raise ConfigError(
            f"train is {train!r}",
            "a file, or {ATTRIBUTE: {GROUP: {CLASS: ROWS}}} with attributes out of "
            f"{', '.join(faces.attributes) or 'groups, which are none'}; or {{NAME: ...}} with the "
            "names of the models",
            "correct train",
        )
    return {
        name: named_counts(name, counts, faces.attributes[name], faces.classes)
        for name, counts in train.items()
    }


if __name__ == "__main__":
    run_verb("audit", Audit, audit)
