"""The check of a configuration, and the one place that instantiates targets."""

from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import ReadonlyConfigError

from facebias.config import build, check, conf_folder, register_resolvers
from facebias.errors import ConfigError, DataError
from facebias.schemas import CAM_METHODS, Train

GENDER = ("bias=attribute_shares", "bias.attribute=gender")


def composed(*overrides: str) -> DictConfig:
    """Compose as Hydra does; single values are set afterwards, because composing takes long."""
    parsed = OverridesParser.create().parse_overrides(list(overrides))
    values = [
        one
        for one in parsed
        if not one.is_delete() and not (conf_folder() / one.key_or_group).is_dir()
    ]
    groups = tuple(str(one.input_line) for one in parsed if one not in values)
    config = deepcopy(_composed(groups))
    OmegaConf.set_struct(config, False)
    for one in values:
        OmegaConf.update(config, one.key_or_group, one.value(), merge=False)
    return config


@cache
def _composed(overrides: tuple[str, ...]) -> DictConfig:
    register_resolvers()
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        return compose("train", ["data=emotions", "data.root=/faces", "paths.run=/run", *overrides])


def checked(*overrides: str) -> DictConfig:
    return check(composed(*overrides), Train)


def refused(*overrides: str) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        checked(*overrides)
    return caught.value


@pytest.mark.parametrize(
    ("override", "key", "nearest"),
    [
        ("+sed=1", "sed", "seed"),
        ("+data.bach_size=8", "data.bach_size", "data.batch_size"),
        ("+data.reader.clases=[a]", "data.reader.clases", "data.reader.classes"),
        ("+paths.output=x", "paths.output", "paths.outputs"),
        ("+model.filter=[1]", "model.filter", "model.filters"),
        ("+checkpoint.moniter=x", "checkpoint.moniter", "checkpoint.monitor"),
        ("+callbacks.fairness.min_groups=1", "callbacks.fairness.min_groups", "min_group"),
        ("+callbacks.best.monitr=x", "callbacks.best.monitr", "callbacks.best.monitor"),
        ("+optimizer.weight_decai=1", "optimizer.weight_decai", "optimizer.weight_decay"),
        ("+trainer.max_epoch=3", "trainer.max_epoch", "trainer.max_epochs"),
        ("+augment.transforms.flip.probability=1", "augment.transforms.flip.probability", "p"),
    ],
)
def test_an_unknown_key_is_refused_with_the_nearest(override: str, key: str, nearest: str) -> None:
    error = refused(override)
    assert error.found == f"there is no key {key!r}"
    assert nearest.rpartition(".")[2] in error.expected.replace(",", "").split()
    assert nearest in error.todo or "see --help" in error.todo


@pytest.mark.parametrize(
    ("overrides", "found", "expected"),
    [
        (["seed=three"], "seed is 'three'", "type int"),
        (["seed=1.5"], "seed is 1.5", "type int"),
        (["seed=null"], "seed is None", "type int"),
        (["seed="], "seed is ''", "type int"),
        (["name=[a]"], "name is ['a']", "type str"),
        (["dry_run=maybe"], "dry_run is 'maybe'", "type bool"),
        (["data.stratify=gender"], "data.stratify is 'gender'", "type list[str]"),
        (["data.reader.classes=[a,null]"], "data.reader.classes is", "type list[str]"),
        (["model.filters=[a]"], "model.filters is ['a']", "type list[int]"),
        ([*GENDER, "bias.total=many"], "bias.total is 'many'", "type int | null"),
        ([*GENDER, "bias.shares={male: all}"], "bias.shares is", "dict[str, float]"),
        (["callbacks.cam.per_group=few"], "callbacks.cam.per_group is 'few'", "type int"),
        (["+callbacks.extra=3"], "callbacks.extra is 3", "a node with a _target_"),
        (["+callbacks.extra={a: 3}"], "callbacks.extra is {'a': 3}", "a node with a _target_"),
    ],
)
def test_a_value_of_a_wrong_type_is_refused(
    overrides: list[str], found: str, expected: str
) -> None:
    error = refused(*overrides)
    assert error.found.startswith(found)
    assert expected in error.expected


@pytest.mark.parametrize(
    ("overrides", "key", "expected"),
    [
        (["seed=-1"], "seed", "at least 0"),
        (["data.height=4"], "data.height", "from 8 to 1024"),
        (["data.height=4096"], "data.height", "from 8 to 1024"),
        (["data.batch_size=0"], "data.batch_size", "at least 1"),
        (["data.folds=1"], "data.folds", "at least 2"),
        (["classifier.label_smoothing=1.1"], "classifier.label_smoothing", "from 0 to 1"),
        (["classifier.label_smoothing=nan"], "classifier.label_smoothing", "from 0 to 1"),
        (["classifier.label_smoothing=inf"], "classifier.label_smoothing", "from 0 to 1"),
        (["model.filters=[16,0,64]"], "model.filters", "at least 1"),
        (["callbacks.fairness.replicates=99"], "callbacks.fairness.replicates", "at least 100"),
        ([*GENDER, "bias.shares={male: -0.1}"], "bias.shares", "at least 0"),
        ([*GENDER, "bias.shares={male: nan}"], "bias.shares", "at least 0"),
        ([*GENDER, "bias.total=0"], "bias.total", "at least 1"),
    ],
)
def test_a_value_out_of_range_is_refused(overrides: list[str], key: str, expected: str) -> None:
    error = refused(*overrides)
    assert error.found.startswith(f"{key} is ")
    assert error.expected == f"a number {expected}"


@pytest.mark.parametrize(
    ("overrides", "found", "expected"),
    [
        (["fold=10"], "fold=10 of data.folds=10", "from 0 to 9"),
        (["data.fold=3", "data.folds=3"], "fold=3 of data.folds=3", "from 0 to 2"),
        (["checkpoint.monitor=train/loss"], "checkpoint.monitor is 'train/loss'", "validation/"),
        (["checkpoint.monitor=loss"], "checkpoint.monitor is 'loss'", "validation/"),
    ],
)
def test_what_no_data_could_mend_is_refused_before_any_is_read(
    overrides: list[str], found: str, expected: str
) -> None:
    error = refused(*overrides)
    assert error.found == found
    assert expected in error.expected
    assert checked("fold=9", "checkpoint.monitor=validation/macro_f1").data.fold == 9


@given(st.floats(allow_nan=True) | st.floats(0, 1))
@settings(max_examples=30, deadline=None)
def test_a_dropout_passes_exactly_if_it_is_a_share(dropout: float) -> None:
    config = composed()
    config.model.dropout = dropout
    if 0 <= dropout <= 1:
        assert check(config, Train).model.dropout == dropout
    else:
        with pytest.raises(ConfigError, match=r"model\.dropout"):
            check(config, Train)


@pytest.mark.parametrize(
    ("override", "choices", "hint"),
    [
        ("data.copies=dropp", "one of drop, error, report, leak", "did you mean drop?"),
        ("checkpoint.use=zz", "one of last, best", "correct checkpoint.use"),
        ("data.channels=2", "one of 1, 3", "correct data.channels"),
        (
            "callbacks.cam.method=occlusio",
            f"one of {', '.join(CAM_METHODS)}",
            "did you mean occlusion?",
        ),
    ],
)
def test_a_value_that_is_no_choice_is_refused(override: str, choices: str, hint: str) -> None:
    error = refused(override)
    assert (error.expected, error.todo) == (choices, hint)


@pytest.mark.parametrize(
    ("overrides", "key"),
    [
        (["data.root=???"], "data.root"),  # read by the reader, too
        (["name=???"], "name"),  # read by names of runs
        (["model=timm"], "model.name"),
        (["data=folders"], "data.reader.classes"),
        (["data.reader.classes=[a,???]"], "data.reader.classes.1"),
        (["bias=attribute_shares"], "bias.attribute"),  # read by bias.variant
        (["optimizer.lr=???"], "optimizer.lr"),
        (["+trainer.plugins=[{a: ???}]"], "trainer.plugins.0.a"),
        (["~model.filters"], "model.filters"),
        (["~name", "~logger"], "name"),
    ],
)
def test_a_missing_value_names_its_own_key(overrides: list[str], key: str) -> None:
    error = refused(*overrides)
    assert error.found == f"{key} is not set"
    assert error.todo == f"add {key}=... to the command"


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("name=${nothing}", "name: Interpolation key 'nothing' not found"),
        ("name=${name}", "Recursive interpolation"),
        ("name=${oc.env:FACEBIAS_NOT_SET}", "FACEBIAS_NOT_SET"),
        ("name=${no_resolver:1}", "Unsupported interpolation type no_resolver"),
    ],
)
def test_an_interpolation_that_leads_nowhere_is_refused(override: str, message: str) -> None:
    assert message in refused(override).found


def test_the_result_is_resolved_and_read_only() -> None:
    config = checked("seed=3", "name=mine")
    plain = OmegaConf.to_container(config, resolve=False)
    assert "${" not in str(plain)
    assert config.data.reader.root == "/faces"
    with pytest.raises(ReadonlyConfigError):
        config.data.seed = 4


@pytest.mark.parametrize(
    ("override", "key", "value"),
    [
        ("dry_run=off", "dry_run", False),  # a text for Hydra, and as such true
        ("test=no", "test", False),
        ("seed='3'", "seed", 3),
        ("name=2026", "name", "2026"),
        ("data.reader.classes=[0,1]", "data.reader.classes", ["0", "1"]),
        ("model.dropout=0", "model.dropout", 0.0),
        ("data.channels='3'", "data.channels", 3),
    ],
)
def test_a_value_has_the_type_of_its_field(override: str, key: str, value: object) -> None:
    found = OmegaConf.select(checked(override), key)
    assert found == value
    assert type(found) is type(value) or isinstance(value, list)


def test_a_key_that_was_deleted_has_its_default() -> None:
    config = checked("~data.max_bad", "~classifier.label_smoothing", "~logger", "~checkpoint.use")
    assert (config.data.max_bad, config.classifier.label_smoothing) == (20, 0.0)
    assert (config.logger, config.checkpoint.use) == ({}, "last")


def test_checking_twice_changes_nothing() -> None:
    once = checked(*GENDER, "bias.shares={male: 1}")
    assert check(once, Train) == once


def test_a_null_switches_a_callback_off() -> None:
    assert checked("callbacks.cam=null").callbacks.cam is None


def test_what_is_no_mapping_is_refused() -> None:
    for place in ("checkpoint", "callbacks"):
        config = _with("callbacks.best", None)
        OmegaConf.update(config, place, ["a"], merge=False)
        with pytest.raises(ConfigError, match=rf"^{place} is \['a'\]\nExpected: a mapping"):
            check(config, Train)


def _with(place: str, value: object) -> DictConfig:
    """Return the composed configuration with one value set, whatever its type."""
    config = composed(*GENDER)
    OmegaConf.update(config, place, value, merge=False)
    return config


def _smuggled(file: Path) -> dict[str, Any]:
    """Return a node that would make a file."""
    return {"_target_": "logging.FileHandler", "filename": str(file)}


@pytest.mark.parametrize(
    "place",
    [
        "data.stratify",
        "data.seed",
        "data.root",
        "data.reader.label_map",
        "data.reader.columns",
        "data.reader.splits",
        "data.reader.attributes",
        "data.reader.attributes.gender",
        "data.reader.classes",
        "bias.shares",
        "bias.twins",
        "bias.variant",
        "model.filters",
        "callbacks.cam.layer",
        "callbacks.fairness.intersections",
        "callbacks.best.monitor",
        "checkpoint",
        "paths",
        "trainer.profiler",
        "optimizer.lr",
        "augment.transforms.flip.p",
        "name",
        "model",
        "callbacks",
        "callbacks.mine",
        "data",
        "bias._args_",
        "optimizer._args_",
        "trainer._args_",
    ],
)
def test_a_target_smuggled_into_a_place_for_values_is_refused(tmp_path: Path, place: str) -> None:
    node = _smuggled(tmp_path / "made")
    for value in (node, [node], {"a": node}, {"a": [[node]]}):
        with pytest.raises(ConfigError):
            check(_with(place, value), Train)
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("place", ["label_map", "columns", "splits", "attributes", "classes"])
def test_build_never_runs_what_is_smuggled_into_a_value(tmp_path: Path, place: str) -> None:
    node = {
        "_target_": "facebias.data.readers.folders.read_class_folders",
        "root": str(tmp_path),
        "classes": ["happy"],
        place: _smuggled(tmp_path / "made"),
    }
    with pytest.raises(ConfigError, match=rf"build\.{place} is"):
        build(node)
    assert not (tmp_path / "made").exists()


def test_a_value_that_would_resolve_a_second_time_is_refused(tmp_path: Path) -> None:
    node = f"{{_target_: logging.FileHandler, filename: {tmp_path / 'made'}}}"
    hidden = {"_target_": "torch.nn.Linear", "in_features": "\\${oc.create:" + node + "}"}
    config = composed()
    config.model = hidden
    with pytest.raises(ConfigError, match=r"model\.in_features"):
        check(config, Train)
    with pytest.raises(ConfigError, match="in_features"):
        build(hidden)
    with pytest.raises(ConfigError, match=r"logging\.FileHandler"):
        build({**hidden, "in_features": "${oc.create:" + node + "}"})
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    "values",
    [
        {"in_features": {"_target_": "os.system", "command": "exit"}},
        {"in_features": [{"a": [{"_target_": "os.system", "command": "exit"}]}]},
        {"_args_": [{"_target_": "os.system", "command": "exit"}]},
        {"_args_": [3, {"_target_": "torch.nn.Identity", "_args_": [{"_target_": "os.getcwd"}]}]},
        {"in_features": {"_target_": "os.system", "_partial_": True}},
        {"in_features": {"_target_": 3}},
    ],
)
def test_a_target_nested_in_an_allowed_one_is_refused(values: dict[str, Any]) -> None:
    node = {"_target_": "torch.nn.Linear", **values}
    with pytest.raises(ConfigError, match="_target_"):
        build(node)
    config = composed()
    config.model = node
    with pytest.raises(ConfigError, match="_target_"):
        check(config, Train)


def test_positional_arguments_do_not_go_past_a_schema() -> None:
    with pytest.raises(ConfigError, match=r"no key 'build\._args_'"):
        build({"_target_": "facebias.data.bias.AllFaces", "_args_": ["mine"]})


def test_build_makes_the_object_and_passes_arguments_on() -> None:
    layer = build({"_target_": "torch.nn.Linear", "in_features": 3}, out_features=2, bias=False)
    assert (layer.in_features, layer.out_features, layer.bias) == (3, 2, None)


def test_build_leaves_its_node_as_it_was() -> None:
    node = {"_target_": "facebias.data.bias.AllFaces"}
    assert build(node).variant == "none"
    assert node == {"_target_": "facebias.data.bias.AllFaces"}


def test_build_resolves_what_refers_to_the_node_itself() -> None:
    node = {"_target_": "torch.nn.Linear", "in_features": 3, "out_features": "${.in_features}"}
    assert build(node).weight.shape == (3, 3)


def test_a_partial_waits_for_the_rest() -> None:
    node = OmegaConf.create(
        {"_target_": "torch.nn.Linear", "_partial_": True, "in_features": 3, "bias": False}
    )
    wait = build(node, device="cpu")
    assert wait(out_features=2).weight.shape == (2, 3)


def test_nested_targets_are_built_too() -> None:
    node = {
        "_target_": "torch.nn.TransformerEncoder",
        "num_layers": 2,
        "enable_nested_tensor": False,
        "encoder_layer": {
            "_target_": "torch.nn.TransformerEncoderLayer",
            "d_model": 4,
            "nhead": 2,
            "dim_feedforward": 8,
        },
    }
    assert [layer.linear1.out_features for layer in build(node).layers] == [8, 8]


def test_lists_and_mappings_arrive_as_plain_python() -> None:
    shares = {"male": 1.0}
    bias = build(
        OmegaConf.create(
            {
                "_target_": "facebias.data.bias.AttributeShares",
                "variant": "male_only",
                "attribute": "gender",
                "shares": shares,
                "twins": [{"female": 1}],
            }
        )
    )
    assert (type(bias.shares), type(bias.twins), bias.shares) == (dict, list, shares)


@pytest.mark.parametrize(
    "node",
    [
        {"_target_": "torch.nn.Conv2d", "in_channels": 2, "out_channels": 3, "kernel_size": 1},
        {"_target_": "torch.nn.Linear", "in_features": 3},
    ],
    ids=["a ValueError", "a TypeError"],
)
@pytest.mark.parametrize("nested", [False, True])
def test_values_that_a_constructor_refuses_are_a_config_error(
    node: dict[str, Any], nested: bool
) -> None:
    node = {**node, "groups": 7} if "kernel_size" in node else node
    outer = {"_target_": "torch.nn.TransformerEncoder", "num_layers": 1, "encoder_layer": node}
    with pytest.raises(ConfigError, match=r"groups|out_features"):
        build(outer if nested else node)


def test_an_error_of_our_own_passes_unchanged(tmp_path: Path) -> None:
    node = {
        "_target_": "facebias.data.readers.folders.read_class_folders",
        "root": str(tmp_path / "nowhere"),
        "classes": ["happy"],
    }
    with pytest.raises(DataError, match="there is no folder"):
        build(node)


@pytest.mark.parametrize("node", [{}, {"a": 1}, {"_target_": None}])
def test_a_node_without_a_target_is_refused(node: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="build is"):
        build(node)
