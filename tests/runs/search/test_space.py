"""What a command line asks to search, read from Hydra's grammar."""

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given
from hypothesis import strategies as st

from facebias.errors import ConfigError
from facebias.runs.search.space import Choice, Dimension, Numbers, Space, read_space


def _space(*overrides: str) -> Space:
    return read_space(OverridesParser.create().parse_overrides(list(overrides)))


@pytest.mark.parametrize(
    ("override", "dimension"),
    [
        ("a=x,y", Choice("a", ("x", "y"))),
        ("a=choice(y,x)", Choice("a", ("x", "y"))),
        ("a=shuffle(x,y)", Choice("a", ("x", "y"))),
        ("+a=[1,2],[3]", Choice("+a", ("[1,2]", "[3]"))),
        ("a=interval(0,0.5)", Numbers("a", 0.0, 0.5, None, False)),
        ("a=tag(log,interval(1e-4,1e-1))", Numbers("a", 1e-4, 1e-1, None, True)),
        ("a=int(interval(1,10))", Numbers("a", 1, 10, 1, False)),
        ("a=tag(log,int(interval(8,256)))", Numbers("a", 8, 256, 1, True)),
        ("a=range(1,5)", Numbers("a", 1, 4, 1, False)),
        ("a=range(16,65,16)", Numbers("a", 16, 64, 16, False)),
        ("a=range(5,1,-1)", Numbers("a", 2, 5, 1, False)),
        ("a=tag(log,range(1,65))", Numbers("a", 1, 64, 1, True)),
    ],
)
def test_a_dimension_is_what_hydra_says(override: str, dimension: Dimension) -> None:
    assert _space(override).dimensions == (dimension,)


@pytest.mark.parametrize(
    "override",
    [
        "a=interval(1,1)",
        "a=interval(2,1)",
        "a=tag(log,interval(0,1))",
        "a=tag(log,range(0,5))",
        "a=tag(log,range(1,9,2))",
        "a=tag(power,interval(1,2))",
        "a=tag(log,choice(1,2))",
        "a=range(0.0,1.0,0.1)",
        "a=range(5,1)",
        "a=x,x",
    ],
)
def test_what_cannot_be_searched_is_named(override: str) -> None:
    with pytest.raises(ConfigError) as error:
        _space(override)
    assert override in error.value.found


@pytest.mark.parametrize("key", ["seed", "fold"])
def test_a_repeat_has_values_and_no_interval(key: str) -> None:
    assert _space("a=x,y", f"{key}=1,2").repeats == ((f"{key}=1",), (f"{key}=2",))
    with pytest.raises(ConfigError, match="cannot be searched"):
        _space("a=x,y", f"{key}=interval(0,3)")


def test_repeats_are_crossed() -> None:
    space = _space("seed=0,1", "a=x,y", "fold=range(0,2)")
    assert len(space.repeats) == 4
    assert space.repeats[1] == ("seed=0", "fold=1")


def test_one_value_of_a_repeat_is_fixed_and_the_last_of_a_key_counts() -> None:
    space = _space("seed=3", "b=1", "a=1", "b=2", "a=x,y", "~c")
    assert (space.fixed, space.repeats) == (("seed=3", "b=2", "~c=null"), ((),))


def test_every_choice_and_every_end_is_a_corner_once() -> None:
    corners = list(_space("a=x,y,z", "b=interval(0,1)", "seed=0,1").corners())
    assert corners == [
        ["a=x", "b=0.0", "seed=0", "test=false"],
        ["a=y", "b=0.0", "seed=0", "test=false"],
        ["a=z", "b=0.0", "seed=0", "test=false"],
        ["a=x", "b=1.0", "seed=0", "test=false"],
        ["a=x", "b=0.0", "seed=1", "test=false"],
    ]


@given(st.floats(1e-12, 1e12))
def test_a_number_is_the_same_as_an_override(number: float) -> None:
    (text,) = _space("a=interval(0,1)").named([str(number)])
    (override,) = OverridesParser.create().parse_overrides([text])
    assert override.value() == number
