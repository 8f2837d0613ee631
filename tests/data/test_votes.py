from collections import Counter

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.ensemble import VotingClassifier

from facebias.data.votes import combined_predictions, hard_vote, soft_vote

Probabilities = npt.NDArray[np.float64]
CLASSES = ("happy", "neutral", "sad")


@st.composite
def votes(draw: st.DrawFn) -> tuple[npt.NDArray[np.int64], Probabilities]:
    """Return answers (members, faces) and coarse probabilities, so that ties are frequent."""
    members, faces, classes = (draw(st.integers(1, high)) for high in (6, 4, 4))
    shape = (members, faces, classes)
    weights = draw(arrays(np.int64, shape, elements=st.integers(1, 5))).astype(np.float64)
    probabilities = weights / weights.sum(axis=2, keepdims=True)
    return probabilities.argmax(axis=2), probabilities


@settings(deadline=None)
@given(votes())
def test_a_soft_vote_is_that_of_a_plain_loop(
    case: tuple[npt.NDArray[np.int64], Probabilities],
) -> None:
    _, probabilities = case
    answers, shares = soft_vote(probabilities)
    members, faces, classes = probabilities.shape
    for face in range(faces):
        means = [
            sum(probabilities[member, face, name] for member in range(members)) / members
            for name in range(classes)
        ]
        assert shares[face] == pytest.approx(means)
        assert means[answers[face]] == pytest.approx(max(means))


@settings(deadline=None)
@given(votes())
def test_a_hard_vote_is_that_of_a_plain_loop(
    case: tuple[npt.NDArray[np.int64], Probabilities],
) -> None:
    given_answers, probabilities = case
    answers, shares = hard_vote(given_answers, probabilities)
    members, faces, classes = probabilities.shape
    for face in range(faces):
        counts = Counter(given_answers[:, face].tolist())
        most = max(counts.values())
        ahead = [name for name in range(classes) if counts[name] == most]
        means = {name: probabilities[:, face, name].mean() for name in ahead}
        assert answers[face] in ahead
        assert means[int(answers[face])] == pytest.approx(max(means.values()))
        assert shares[face] == pytest.approx([counts[name] / members for name in range(classes)])


@settings(deadline=None)
@given(votes())
def test_the_order_of_members_changes_no_share(
    case: tuple[npt.NDArray[np.int64], Probabilities],
) -> None:
    answers, probabilities = case
    for one, other in (
        (soft_vote(probabilities), soft_vote(probabilities[::-1])),
        (hard_vote(answers, probabilities), hard_vote(answers[::-1], probabilities[::-1])),
    ):
        np.testing.assert_allclose(one[1], other[1])


def test_a_tie_of_votes_goes_to_the_larger_mean_among_the_tied() -> None:
    # Two vote for each of 0 and 1; class 2 has no vote, though its mean is the largest.
    probabilities = np.array([[[0.40, 0.21, 0.39]], [[0.21, 0.40, 0.39]]])
    answers, shares = hard_vote(np.array([[0], [1]]), probabilities)
    assert answers[0] == 0  # equal means of .305: the first
    assert shares.tolist() == [[0.5, 0.5, 0.0]]
    probabilities[1] = [[0.20, 0.41, 0.39]]
    assert hard_vote(np.array([[0], [1]]), probabilities)[0][0] == 1
    assert soft_vote(probabilities)[0][0] == 2


class Fixed(ClassifierMixin, BaseEstimator):  # type: ignore[misc] # scikit-learn has no types
    """A classifier of scikit-learn that has known probabilities."""

    def __init__(self, probabilities: Probabilities) -> None:
        self.probabilities = probabilities

    def fit(self, faces: Probabilities, labels: npt.NDArray[np.int64]) -> "Fixed":
        self.classes_ = np.unique(labels)
        return self

    def predict_proba(self, faces: Probabilities) -> Probabilities:
        return self.probabilities

    def predict(self, faces: Probabilities) -> npt.NDArray[np.int64]:
        return np.asarray(self.classes_[self.probabilities.argmax(axis=1)])


def test_votes_are_those_of_scikit_learn_where_there_is_no_tie() -> None:
    random = np.random.default_rng(0)
    probabilities = random.dirichlet([1, 1, 1], size=(5, 200))
    faces, labels = np.zeros((200, 1)), np.arange(200) % 3
    for kind in ("soft", "hard"):
        voting = VotingClassifier(
            [(str(n), Fixed(each)) for n, each in enumerate(probabilities)], voting=kind
        )
        expected = voting.fit(faces, labels).predict(faces)
        given_answers = probabilities.argmax(axis=2)
        if kind == "soft":
            answers, shares = soft_vote(probabilities)
            np.testing.assert_allclose(shares, voting.predict_proba(faces))
            clear = np.full(200, fill_value=True)
        else:
            answers, shares = hard_vote(given_answers, probabilities)
            clear = (shares == shares.max(axis=1, keepdims=True)).sum(axis=1) == 1
            assert 50 < clear.sum() < 200  # scikit-learn breaks ties by the class's number
        np.testing.assert_array_equal(answers[clear], expected[clear])


def member(probabilities: Probabilities, ids: list[str]) -> pd.DataFrame:
    named = {f"p_{name}": probabilities[:, n] for n, name in enumerate(CLASSES)}
    predicted = np.array(CLASSES, dtype=object)[probabilities.argmax(axis=1)]
    table = pd.DataFrame({"id": ids, "run": "a", "label": "sad", "predicted": predicted, **named})
    return table.assign(gender=[f"of {name}" for name in ids])


def test_faces_are_joined_by_id_and_classes_by_name() -> None:
    random = np.random.default_rng(1)
    one, other = random.dirichlet([1, 1, 1], size=(2, 4))
    first = member(one, ["a", "b", "c", "d"])
    second = member(other, ["a", "b", "c", "d"]).iloc[[2, 0, 3, 1]]
    second = second[[*reversed(second.columns)]]
    found = combined_predictions([first, second], CLASSES, "soft", run="both", seed=None)
    assert list(found["id"]) == ["a", "b", "c", "d"]
    assert list(found["gender"]) == ["of a", "of b", "of c", "of d"]
    assert set(found["run"]) == {"both"}
    assert found["seed"].isna().all()
    shares = found[[f"p_{name}" for name in CLASSES]].to_numpy()
    np.testing.assert_allclose(shares, (one + other) / 2)
    assert list(found["predicted"]) == [CLASSES[n] for n in shares.argmax(axis=1)]
    assert list(first["run"]) == ["a"] * 4
