"""FaceTable: one row a face, with its declared classes and groups."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

import pandas as pd

from facebias.errors import DataError

UNKNOWN = "unknown"  # the group of a face whose attribute nobody recorded
SPLITS = ("train", "validation", "test")
COLUMNS = ("id", "source", "label", "identity", "split", "left_out")


@dataclass(frozen=True)
class FaceTable:
    """Faces, and what is known of them.

    `rows` has the columns

    - `id`: unique name of the face;
    - `source`: path of its image below `root`, with `/`;
    - `label`: one of `classes`, or missing;
    - a column for each attribute: one of its declared groups, or "unknown";
    - `identity`: the person; a cluster of copies counts as one;
    - `split`: train, validation, test, or missing where it is still to be drawn;
    - `left_out`: why the face is not used, or "".

    Args:
        rows: as above; further columns are kept.
        root: folder that the sources lie below.
        classes: the labels that exist, in the order of the model's outputs.
        attributes: for each attribute the groups that exist, seen in the rows or not.
        provenance: who said what the groups are.

    Raises:
        DataError: for a missing column, an id twice, an undeclared label or group, a source
            outside of `root`.
    """

    rows: pd.DataFrame
    root: Path
    classes: tuple[str, ...]
    attributes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    provenance: str = "not stated"

    def __post_init__(self) -> None:
        """Hold the rows against the declarations."""
        reserved = [name for name in self.attributes if name in COLUMNS]
        if reserved:
            raise DataError(
                f"an attribute is named {', '.join(reserved)}",
                f"other names than {', '.join(COLUMNS)}",
                "rename it, and give its column in the reader's configuration",
            )
        missing = [name for name in (*COLUMNS, *self.attributes) if name not in self.rows]
        if missing:
            raise DataError(f"the face table lacks {missing}", f"the columns {COLUMNS}")
        if not self.rows.index.is_unique:
            raise DataError(
                "the face table's index has values that stand twice",
                "a unique index",
                "call rows.reset_index(drop=True) after joining tables",
            )
        self._refuse_nameless()
        twice = self.rows["id"][self.rows["id"].duplicated()]
        if len(twice):
            raise DataError(
                f"{len(twice)} ids stand twice, the first is {twice.iloc[0]!r}", "unique ids"
            )
        self._refuse_undeclared("label", self.classes)
        self._refuse_undeclared("split", SPLITS)
        for attribute, groups in self.attributes.items():
            self._refuse_undeclared(attribute, (*groups, UNKNOWN), optional=False)
        self._refuse_outside()

    def _refuse_nameless(self) -> None:
        for column in ("id", "source", "identity"):
            wrong = ~self.rows[column].map(lambda value: isinstance(value, str) and value != "")
            if wrong.any():
                raise DataError(
                    f"{wrong.sum()} faces have no {column}, the first is row {int(wrong.argmax())}",
                    "text",
                    f"fill the column {column}",
                )

    def _refuse_undeclared(
        self, column: str, declared: tuple[str, ...], optional: bool = True
    ) -> None:
        values = self.rows[column]
        known = values.isin(declared) | (values.isna() if optional else False)
        wrong = self.rows[~known]
        if len(wrong):
            first = wrong.iloc[0]
            raise DataError(
                f"{len(wrong)} faces have an undeclared {column}, the first is "
                f"{first['source']} with {first[column]!r}",
                f"one of {', '.join(declared)}",
                "correct it, or declare it in the reader's configuration (data.reader: "
                "classes, attributes, label_map, splits)",
            )

    def _refuse_outside(self) -> None:
        sources = self.rows["source"]
        suspect = sources[sources.str.contains(r"\.\.|^[/\\]|^\w:|\\", regex=True)]
        for source in suspect:
            path = PurePosixPath(source)
            if path.is_absolute() or ".." in path.parts or ":" in path.parts[0] or "\\" in source:
                raise DataError(
                    f"the source {source!r} leads out of the data's folder {self.root}",
                    "a path below it",
                    "correct the table, or choose a root above all of its images",
                )

    def with_rows(self, rows: pd.DataFrame) -> "FaceTable":
        """Return the same declarations with other rows."""
        return replace(self, rows=rows)

    def used(self, split: str | None = None) -> pd.DataFrame:
        """Return the rows that are not left out, of one split or of all."""
        rows = self.rows[self.rows["left_out"] == ""]
        return rows if split is None else rows[rows["split"] == split]

    def cells(self, split: str, attribute: str | None = None) -> pd.DataFrame:
        """Count the used rows of a split, labels down and the groups of an attribute across."""
        rows = self.used(split)
        groups = [*self.attributes[attribute], UNKNOWN] if attribute else ["all"]
        across = rows[attribute] if attribute else pd.Series("all", index=rows.index)
        counts = rows.groupby([rows["label"], across]).size().unstack(fill_value=0)
        return counts.reindex(index=list(self.classes), columns=groups, fill_value=0)
