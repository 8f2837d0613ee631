"""Votes of several models on the same faces: soft is the mean probability, hard the plurality."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from facebias.data.predictions import PROBABILITY

SOFT, HARD = "soft", "hard"

Probabilities = npt.NDArray[np.float64]
Answers = npt.NDArray[np.int64]


def soft_vote(probabilities: Probabilities) -> tuple[Answers, Probabilities]:
    """Return the class of the largest mean probability, and the mean probabilities.

    Of classes with equal means the first is taken.

    Args:
        probabilities: of each member (members, N, C), 0..1.

    Returns:
        Number of the class (N,), and probabilities (N, C), 0..1.
    """
    mean = probabilities.mean(axis=0)
    return mean.argmax(axis=1), mean


def hard_vote(answers: Answers, probabilities: Probabilities) -> tuple[Answers, Probabilities]:
    """Return the class that most members predict, and the share of members that predict each.

    Of classes with equally many votes, the one with the larger mean probability is taken; of equal
    means, the first. So the answer is among the classes of the largest share, and not always the
    first of them.

    Args:
        answers: number of the class that each member predicts (members, N).
        probabilities: of each member (members, N, C), 0..1.

    Returns:
        Number of the class (N,), and vote shares (N, C), 0..1.
    """
    classes = np.arange(probabilities.shape[2])
    votes = (answers[:, :, None] == classes).sum(axis=0)
    ahead = votes == votes.max(axis=1, keepdims=True)
    mean = probabilities.mean(axis=0)
    return np.where(ahead, mean, -1.0).argmax(axis=1), votes / len(answers)


def combined_predictions(
    members: Sequence[pd.DataFrame],
    classes: Sequence[str],
    vote: str,
    **constants: str | int | None,
) -> pd.DataFrame:
    """Return the predictions of an ensemble, in the form of one of its members.

    Args:
        members: predictions of each, of the same faces (by id) in any order.
        classes: in the order of the answer.
        vote: "soft" (`soft_vote`) or "hard" (`hard_vote`).
        constants: columns that are the same in all rows, such as run and variant; None: missing.

    Returns:
        The rows of the first member, in its order, with other constants, `predicted` and
        `p_<class>`; of a hard vote these are vote shares.
    """
    first = members[0]
    columns = [f"{PROBABILITY}{name}" for name in classes]
    aligned = [each.set_index("id").loc[first["id"]] for each in members]
    probabilities = np.stack([each[columns].to_numpy(np.float64) for each in aligned])
    if vote == SOFT:
        answers, shares = soft_vote(probabilities)
    else:
        named = pd.Index(classes)
        given = np.stack([named.get_indexer(each["predicted"]) for each in aligned])
        answers, shares = hard_vote(given.astype(np.int64), probabilities)
    rows = first.assign(**constants, predicted=np.array(classes, dtype=object)[answers])
    rows[columns] = shares
    return rows.reset_index(drop=True)
