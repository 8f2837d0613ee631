"""Predictions: one row a face and run; all that fairness, comparison and reports read."""

import numpy as np
import numpy.typing as npt
import pandas as pd

from facebias.data.table import FaceTable

PREDICTIONS_FILE = "predictions.parquet"
PROBABILITY = "p_"  # begins the name of each column of probabilities
# Of counterfactual faces: the face that each was made from, and what was changed to which value.
PAIR = ("pair", "pair_factor", "pair_value")


def predictions_table(
    table: FaceTable,
    rows: pd.DataFrame,
    probabilities: npt.NDArray[np.float32],
    **constants: str | int,
) -> pd.DataFrame:
    """Join probabilities to the faces that they were predicted for.

    Args:
        table: the declarations of classes and attributes.
        rows: the faces (N rows of the table).
        probabilities: (N, classes), 0..1, in the order of the classes.
        constants: columns that are the same in all rows, such as run, variant and seed.

    Returns:
        The columns `id`, the constants, `pair, pair_factor, pair_value` of counterfactual faces,
        `split, label, predicted, p_<class>...`, the groups, `identity`; `label` is missing where
        none is known.
    """
    classes = np.array(table.classes, dtype=object)
    named = {f"{PROBABILITY}{name}": probabilities[:, n] for n, name in enumerate(table.classes)}
    columns = {
        "id": rows["id"],
        **constants,
        **{name: rows[name] for name in PAIR if name in rows},
        "split": rows["split"],
        "label": rows["label"],
        "predicted": classes[probabilities.argmax(1)],
        **named,
        **{attribute: rows[attribute] for attribute in table.attributes},
        "identity": rows["identity"],
    }
    return pd.DataFrame(columns, index=rows.index).reset_index(drop=True)
