"""When an audit says that something is supported, and when that it cannot be told."""

import numpy as np
import pandas as pd

from facebias.fairness.audit import audit
from facebias.report.audit_words import CANNOT_TELL, SUPPORTED, Statement, statements


def answers(right: np.ndarray, label: np.ndarray) -> np.ndarray:
    return np.where(right, label, np.where(label == "f", "m", "f"))


def about(found: list[Statement], what: str) -> list[Statement]:
    return [each for each in found if each.about == what]


def test_a_perfect_model_of_persons_in_several_groups_has_no_unequal_groups() -> None:
    label = np.tile(["f", "f", "m", "m"], 60)
    table = pd.DataFrame(
        {
            "label": label,
            "predicted": label,
            "age": np.tile(["young", "old"], 120),
            "person": np.repeat(np.arange(120), 2),
        }
    )
    for predicted in (label, answers(np.zeros(240, bool), label)):
        found = audit(
            table.assign(predicted=predicted), groups=["age"], identity="person", replicates=200
        )
        (said,) = about(statements(found), "age")
        assert said.verdict == CANNOT_TELL
        assert "not all equal" not in said.text
        largest = found.tables["gaps"].query("kind == 'largest' and metric == 'accuracy'").iloc[0]
        assert (largest["p"], largest["p_method"]) == (1, "max-t bootstrap")


def test_a_large_gap_is_supported_among_many_attributes() -> None:
    random = np.random.default_rng(0)
    rows = 600
    label = random.choice(["f", "m"], rows)
    groups = {f"attribute{number}": random.choice(["a", "b"], rows) for number in range(6)}
    right = random.random(rows) < np.where(groups["attribute0"] == "a", 0.95, 0.6)
    table = pd.DataFrame({"label": label, "predicted": answers(right, label), **groups})
    found = audit(table, groups=list(groups), intersections=[], replicates=200)
    assert 3 * len(groups) / 201 > 0.05  # what no permutation of `replicates` could reject
    (said,) = about(statements(found), "attribute0")
    assert said.verdict == SUPPORTED
    (chance,) = about(statements(found), "attribute3")
    assert chance.verdict == CANNOT_TELL


def test_a_difference_of_models_that_mcnemar_does_not_reject_cannot_be_told() -> None:
    label = np.tile(["f", "m"], 100)
    first, second = np.ones(200, bool), np.arange(200) >= 4
    table = pd.DataFrame({"label": label, "A": label, "B": answers(second, label)})
    found = audit(table, predicted={"A": "A", "B": "B"}, replicates=300)
    row = found.tables["paired"].query("attribute == 'all' and metric == 'accuracy'").iloc[0]
    assert first.mean() > second.mean()
    assert row["p"] == 0.125
    (said,) = about(statements(found), "models")
    assert said.verdict == CANNOT_TELL
    assert "p = 0.125" in said.text


def test_models_are_told_apart_only_if_the_test_stands_among_all_pairs() -> None:
    label = np.tile(["f", "m"], 100)
    wrong = {"A": 0, "B": 7, "C": 0}
    columns = {name: answers(np.arange(200) >= n, label) for name, n in wrong.items()}
    table = pd.DataFrame({"label": label, **columns})

    def verdicts(*models: str) -> list[str]:
        found = audit(table, predicted={name: name for name in models}, replicates=300)
        return [each.verdict for each in about(statements(found), "models")]

    assert verdicts("A", "B") == [SUPPORTED]  # McNemar's p is 2 / 2 ** 7
    assert verdicts("A", "B", "C") == [SUPPORTED, CANNOT_TELL, SUPPORTED]
    table["B"] = answers(np.arange(200) >= 6, label)
    assert verdicts("A", "B") == [SUPPORTED]  # 2 / 2 ** 6 = .031
    assert verdicts("A", "B", "C") == [CANNOT_TELL] * 3


def test_models_of_few_persons_are_told_apart_by_persons_and_among_all_pairs() -> None:
    # 30 photos of each of 40 persons; a model that fails on some fails on all photos of them.
    persons = np.repeat(np.arange(40), 30)
    label = np.tile(["f", "m"], 600)
    wrong = {"A": 4, "B": 9, "C": 4, "D": 9}
    columns = {name: answers(persons >= n, label) for name, n in wrong.items()}
    table = pd.DataFrame({"label": label, "person": persons, **columns})

    def said(*models: str) -> list[Statement]:
        predicted = {name: name for name in models}
        found = audit(table, predicted=predicted, identity="person", replicates=300)
        return about(statements(found), "models")

    (alone,) = said("A", "B")
    assert alone.verdict == SUPPORTED
    assert "test over persons: p = 0.0" in alone.text
    # Four pairs differ; in the other two the models are the same.
    assert [each.verdict for each in said(*wrong)] == [CANNOT_TELL] * 6
