"""FaceTable: one row a face, with its declared classes and groups."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import pandas as pd

from facebias.errors import DataError

UNKNOWN = "unknown"  # the group of a face whose attribute nobody recorded
SPLITS = ("train", "validation", "test")
COLUMNS = ("id", "source", "label", "identity", "split", "left_out")
BOX = ("left", "top", "right", "bottom")  # of the face, pixels of the upright image
LANDMARKS, CREDIT = "landmarks", "credit"
OPTIONAL = (*BOX, LANDMARKS, CREDIT)
# An absolute path, a drive, a step up, or a backslash, which other systems take for a slash.
_LEADS_OUT = r"^/|^(?:\./+)*[^/]*:|(?:^|/)\.\.(?:/|$)|\\"


@dataclass(frozen=True)
class FaceTable:
    """Faces, and what is known of them.

    `rows` has the columns

    - `id`: unique name of the face;
    - `source`: path of its image below `root`, with `/`, or a row of pixels in a CSV file there
      (`facebias.data.pixel_rows`);
    - `label`: one of `classes`, or missing;
    - a column for each attribute: one of its declared groups, or "unknown";
    - `identity`: the person; a cluster of copies counts as one;
    - `split`: train, validation, test, or missing where it is still to be drawn;
    - `left_out`: why the face is not used, or "";
    - where the data set has them, `left, top, right, bottom`: the box of the face in pixels of the
      upright image, NaN where there is none; `landmarks`: a list x, y, x, y, ... in pixels of the
      upright image, or None; `credit`: whom to name for the photo.

    Args:
        rows: as above; further columns are kept.
        root: folder that the sources lie below.
        classes: the labels that exist, in the order of the model's outputs.
        attributes: for each attribute the groups that exist, seen in the rows or not.
        provenance: who said what the groups are.
        said_by: the same for single attributes, where another said what they are.

    Raises:
        DataError: for a missing column, an id twice, an undeclared label or group, a box that is
            not whole, a source outside of `root`.
    """

    rows: pd.DataFrame
    root: Path
    classes: tuple[str, ...]
    attributes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    provenance: str = "not stated"
    said_by: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Hold the rows against the declarations."""
        reserved = [name for name in self.attributes if name in (*COLUMNS, *OPTIONAL)]
        if reserved:
            raise DataError(
                f"an attribute is named {', '.join(reserved)}",
                f"other names than {', '.join((*COLUMNS, *OPTIONAL))}",
                "rename it, and give its column in the reader's configuration",
            )
        box = BOX if set(BOX) & set(self.rows) else ()
        missing = [name for name in (*COLUMNS, *box, *self.attributes) if name not in self.rows]
        if missing:
            raise DataError(f"the face table lacks {missing}", f"the columns {COLUMNS}")
        if not self.rows.index.is_unique:
            raise DataError(
                "the face table's index has values that stand twice",
                "a unique index",
                "call rows.reset_index(drop=True) after joining tables",
            )
        self._refuse_nameless()
        self._refuse_twice()
        self._refuse_undeclared("label", self.classes)
        self._refuse_undeclared("split", SPLITS)
        for attribute, groups in self.attributes.items():
            self._refuse_undeclared(attribute, (*groups, UNKNOWN), optional=False)
        self._refuse_outside()

    def _refuse_nameless(self) -> None:
        for column in ("id", "source", "identity"):
            wrong = ~_is_name(self.rows[column])
            if wrong.any():
                raise DataError(
                    f"{wrong.sum()} faces have no {column}, the first is row {int(wrong.argmax())}",
                    "text",
                    f"fill the column {column}",
                )

    def _refuse_twice(self) -> None:
        ids = self.rows["id"]
        if not ids.is_unique:
            twice = ids[ids.duplicated()]
            raise DataError(
                f"{len(twice)} ids stand twice, the first is {twice.iloc[0]!r}", "unique ids"
            )

    def _refuse_undeclared(
        self, column: str, declared: tuple[str, ...], optional: bool = True
    ) -> None:
        values = self.rows[column]
        known = values.isin(declared)
        if optional:
            known |= values.isna()
        if not known.all():
            wrong = self.rows[~known]
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
        outside = leads_out(sources)
        if outside.any():
            raise DataError(
                f"the source {sources[outside].iloc[0]!r} leads out of the data's folder "
                f"{self.root}",
                "a path below it",
                "correct the table, or choose a root above all of its images",
            )

    def who_said(self, attribute: str) -> str:
        """Return who said what the groups of an attribute are."""
        return self.said_by.get(attribute, self.provenance)

    def boxes(self, rows: pd.DataFrame) -> list[tuple[float, float, float, float] | None] | None:
        """Return the box of each of these rows, None where there is none, or in all."""
        if BOX[0] not in rows:
            return None
        edges = rows[list(BOX)].astype(float)
        there = edges.notna().all(axis=1)
        listed = zip(edges.itertuples(index=False, name=None), there, strict=True)
        return [box if known else None for box, known in listed]

    def with_rows(self, rows: pd.DataFrame) -> "FaceTable":
        """Return the same declarations with other rows."""
        return replace(self, rows=rows)

    def used(self, split: str | None = None) -> pd.DataFrame:
        """Return the rows that are not left out, of one split or of all."""
        return self.rows[self._is_used(split)]

    def cells(self, split: str, attribute: str | None = None) -> pd.DataFrame:
        """Count the used rows of a split, labels down and the groups of an attribute across."""
        columns = ["label", attribute] if attribute else ["label"]
        rows = self.rows.loc[self._is_used(split), columns]
        groups = [*self.attributes[attribute], UNKNOWN] if attribute else ["all"]
        across = rows[attribute] if attribute else pd.Series("all", index=rows.index)
        counts = rows.groupby([rows["label"], across]).size().unstack(fill_value=0)
        return counts.reindex(index=list(self.classes), columns=groups, fill_value=0)

    def _is_used(self, split: str | None) -> pd.Series:
        """Tell for each row whether it is not left out, of one split or of all."""
        used = self.rows["left_out"] == ""
        return used if split is None else used & (self.rows["split"] == split)


def leads_out(sources: pd.Series) -> pd.Series:
    """Tell for each source whether it leads out of its root, or may do so on another system."""
    suspect = sources.str.startswith("/")
    for sign in ("..", ":", "\\"):  # plain text is found much quicker than a pattern
        suspect |= sources.str.contains(sign, regex=False)
    if suspect.any():
        suspect &= sources.str.contains(_LEADS_OUT, regex=True)
    return suspect


def _is_name(column: pd.Series) -> pd.Series:
    """Tell for each value whether it is text and not empty."""
    if pd.api.types.infer_dtype(column) in ("string", "empty"):  # but for missing ones
        return column.notna() & (column != "")
    return column.map(lambda value: isinstance(value, str) and value != "")
