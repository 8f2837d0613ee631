"""Every schema says what its class takes, no more and no less."""

import dataclasses
import inspect
from importlib import import_module
from typing import Any, get_args, get_type_hints

import pytest
from omegaconf import MISSING, OmegaConf

from facebias import schemas

# Keyword-only arguments come from the code that builds, never from YAML. So do those that a
# schedule gets from the trainer.
FROM_CODE = {"facebias.models.schedules": {"optimizer", "total_steps"}}
PLACES = [
    *(schemas.Train, schemas.Predict, schemas.Compare, schemas.Faces),
    *(schemas.Ensemble, schemas.Summary, schemas.Audit),
]


def _named(target: str) -> Any:  # noqa: ANN401
    module, _, name = target.rpartition(".")
    return getattr(import_module(module), name)


def _default(value: Any) -> Any:  # noqa: ANN401
    return list(value) if isinstance(value, tuple) else value


def _takes(target: str) -> dict[str, Any]:
    """Return what a configuration may give to a target, with the defaults."""
    from_code = FROM_CODE.get(target.rpartition(".")[0], set())
    return {
        name: MISSING if parameter.default is parameter.empty else _default(parameter.default)
        for name, parameter in inspect.signature(_named(target)).parameters.items()
        if parameter.kind is not parameter.KEYWORD_ONLY and name not in from_code
    }


def _declares(schema: type) -> dict[str, Any]:
    return {
        field.name: field.default
        if field.default_factory is dataclasses.MISSING
        else field.default_factory()
        for field in dataclasses.fields(schema)
    }


@pytest.mark.parametrize("target", schemas.TARGETS)
def test_a_schema_has_the_names_and_defaults_of_its_target(target: str) -> None:
    assert _declares(schemas.TARGETS[target]) == _takes(target)


@pytest.mark.parametrize("target", schemas.TARGETS)
def test_a_target_is_public_and_its_schema_names_it(target: str) -> None:
    assert callable(_named(target))
    assert _named(target).__module__ == target.rpartition(".")[0]
    assert not target.rpartition(".")[2].startswith("_")
    assert f"`{target}`" in (schemas.TARGETS[target].__doc__ or "")


def test_what_the_code_passes_is_none_of_the_configurations_business() -> None:
    taken = {name for target in schemas.TARGETS for name in _takes(target)}
    passed = {
        name
        for target in schemas.TARGETS
        for name, parameter in inspect.signature(_named(target)).parameters.items()
        if parameter.kind is parameter.KEYWORD_ONLY
    }
    assert {"classes", "channels", "height", "width", "network", "class_counts"} <= passed
    assert not {"network", "normalise", "class_counts", "optimizer", "total_steps"} & taken


@pytest.mark.parametrize(
    "schema", [*PLACES, *schemas.TARGETS.values()], ids=lambda schema: schema.__name__
)
def test_omegaconf_understands_every_schema(schema: type) -> None:
    assert set(OmegaConf.structured(schema)) == set(_declares(schema))


def _all_schemas(schema: type) -> list[type]:
    nested = [hint for hint in get_type_hints(schema).values() if dataclasses.is_dataclass(hint)]
    return [
        schema,
        *(inner for one in nested if isinstance(one, type) for inner in _all_schemas(one)),
    ]


@pytest.mark.parametrize("place", PLACES, ids=lambda schema: schema.__name__)
def test_defaults_are_in_range_and_of_a_known_kind(place: type) -> None:
    for schema in [*_all_schemas(place), *schemas.TARGETS.values()]:
        for field in dataclasses.fields(schema):
            low, high = field.metadata.get("low"), field.metadata.get("high")
            choices = field.metadata.get("choices")
            optional = type(None) in get_args(get_type_hints(schema)[field.name])
            if choices and field.default != MISSING:
                unset = optional and field.default is None
                assert unset or field.default in choices, (schema, field.name)
            if isinstance(field.default, (int, float)):
                assert low is None or field.default >= low, (schema, field.name)
                assert high is None or field.default <= high, (schema, field.name)
            assert low is None or high is None or low < high, (schema, field.name)
