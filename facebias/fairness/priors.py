"""What a model says once its prior is taken out.

A model that was trained on shifted shares of the classes answers in shifted shares. That is its
prior, and not what it has learnt of faces.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from facebias.errors import DataError


def prior_corrected(
    predictions: pd.DataFrame, classes: Sequence[str], train_shares: Mapping[str, float]
) -> pd.DataFrame:
    """Return predictions with the train shares divided out: as if all classes had been as many.

    p'(c) is proportional to p(c) / share(c). Saerens, Latinne and Decaestecker, "Adjusting the
    outputs of a classifier to new a priori probabilities", Neural Computation 14 (2002).

    Args:
        predictions: a row a face, with the columns `p_<class>`, 0..1.
        classes: the declared classes.
        train_shares: share of each class in training, above 0; they need not add up to 1. Where
            the loss weighs classes equally, the shares are equal.

    Returns:
        The same rows with corrected `p_<class>`, which add up to 1, and the `predicted` of them.

    Raises:
        DataError: if a class had no share: nothing can be said of it.
    """
    shares = np.array([float(train_shares.get(name, 0)) for name in classes])
    if not (shares > 0).all():
        absent = [name for name, share in zip(classes, shares, strict=True) if not share > 0]
        raise DataError(
            f"the model was not trained on {', '.join(absent)}",
            "a share above 0 of every class",
            "train on faces of every class, or read its answers as they are",
        )
    columns = [f"p_{name}" for name in classes]
    odds = predictions[columns].to_numpy(np.float64) / shares
    corrected = odds / odds.sum(axis=1, keepdims=True)
    named = {column: corrected[:, n] for n, column in enumerate(columns)}
    predicted = np.array(classes, dtype=object)[corrected.argmax(axis=1)]
    return predictions.assign(**named, predicted=predicted)
