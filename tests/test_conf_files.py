"""Every file in conf/ composes and passes the check."""

import subprocess
import sys
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf

from facebias import schemas
from facebias.config import check, conf_folder, register_resolvers
from facebias.errors import ConfigError

CONF = conf_folder()
VERBS = {
    "train": schemas.Train,
    "predict": schemas.Predict,
    "compare": schemas.Compare,
    "ensemble": schemas.Ensemble,
    "summary": schemas.Summary,
    "audit": schemas.Audit,
    "check": schemas.Check,
    "faces": schemas.Faces,
    "crop": schemas.Crop,
    "cam": schemas.Cam,
    "live": schemas.Live,
}
# What a user must say, for each option that leaves something open.
OPEN = {
    "data": ["data.reader.classes=[happy,neutral]", "data.channels=1", "data.height=48"],
    "data/table": ["data.reader.classes=[happy,neutral]", "data.reader.file=faces.csv"],
    "model/timm": ["model.name=convnext_atto"],
    "bias/attribute_shares": ["bias.attribute=gender"],
    "bias/association": ["bias.attribute=gender"],
    "bias/cells": ["bias.attributes=[gender]"],
    "bias/under_representation": ["bias.attribute=gender", "bias.group=female"],
    "bias/label_noise": ["bias.attribute=gender", "bias.group=female"],
    "remedy/weights": ["remedy.attributes=[gender]"],
}
WITH_AND_WITHOUT = ("spurious", "balanced")
GENDERS = ("unbalanced", "balanced")
EXPERIMENTS = sorted((CONF / "experiment").glob("*.yaml"))


def assert_composes(config_name: str, *overrides: str) -> None:
    register_resolvers()
    needed = {
        "train": ["paths.run=/out", "data.root=/faces"],
        "predict": ["paths.run=/out", "run=/run", "faces=/faces"],
        "compare": ["paths.run=/out", "runs=[/one,/other]"],
        "ensemble": ["paths.run=/out", "runs=[/one,/other]"],
        "summary": ["paths.run=/out", "sweep=seeds"],
        "audit": ["paths.run=/out", "predictions=/p.csv", "label=gender", "predicted=said"],
        "check": ["paths.run=/out"],
        "faces": ["out=/out"],
        "crop": ["photos=/photos", "out=/out"],
        "cam": ["paths.run=/out", "runs=[/one,/other]"],
        "live": ["run=/run"],
    }[config_name]
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose(config_name, [*needed, *overrides])
    checked = check(config, VERBS[config_name])
    assert "???" not in OmegaConf.to_yaml(checked)


def _options() -> list[str]:
    files = (path for path in CONF.glob("*/*.yaml") if not path.stem.startswith("_"))
    return sorted(f"{path.parent.name}/{path.stem}" for path in files)


@pytest.mark.parametrize("config_name", VERBS)
def test_an_entry_point_composes(config_name: str) -> None:
    assert_composes(config_name)


def test_every_entry_point_is_known_here() -> None:
    assert {path.stem for path in CONF.glob("*.yaml")} == set(VERBS)


@pytest.mark.parametrize("option", _options())
def test_every_option_of_every_group_composes(option: str) -> None:
    group, _, name = option.partition("/")
    added = "+" if group in ("experiment", "debug") else ""
    assert_composes("train", f"{added}{group}={name}", *OPEN.get(option, OPEN.get(group, [])))


@pytest.mark.parametrize("option", [name for name in _options() if name.startswith("trainer/")])
def test_a_prediction_runs_on_every_trainer(option: str) -> None:
    assert_composes("predict", option.replace("/", "="))


@pytest.mark.parametrize("file", EXPERIMENTS, ids=lambda file: file.stem)
def test_an_experiment_goes_with_the_quick_look(file: Path) -> None:
    assert_composes("train", f"+experiment={file.stem}", "+debug=quick")


@pytest.mark.parametrize("file", EXPERIMENTS, ids=lambda file: file.stem)
def test_an_experiment_is_short_and_says_its_command(file: Path) -> None:
    lines = file.read_text(encoding="utf-8").splitlines()
    assert lines[0] == "# @package _global_"
    assert len(lines) <= 20
    # Generated faces need no folder.
    place = "" if file.stem.startswith("faces_") else " data.root=FOLDER"
    assert f"# python -m facebias.train +experiment={file.stem}{place}" in lines
    assert f"name: {file.stem}" in lines


def test_the_male_and_female_experiments_are_twins() -> None:
    register_resolvers()
    shares = {}
    for name in ("male", "female"):
        overrides = [f"+experiment=emotions_{name}_only", "data.root=/faces", "paths.run=/out"]
        with initialize_config_dir(str(CONF), version_base="1.3"):
            bias = check(compose("train", overrides), schemas.Train).bias
        shares[name] = (bias.shares, bias.twins)
    assert shares["male"][1] == [shares["female"][0]]
    assert shares["female"][1] == [shares["male"][0]]


def checked(*overrides: str) -> DictConfig:
    register_resolvers()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return check(compose("train", [*overrides, "paths.run=/out"]), schemas.Train)


def test_nothing_has_to_be_said_to_train_on_generated_faces() -> None:
    reader = checked("data.seed=3", "data.height=48").data.reader
    assert reader._target_ == "facebias.data.readers.generated.read_generated_faces"
    assert (reader.root, reader.seed, reader.size, reader.equal_by) == (None, 3, 48, "valence")
    assert checked("data.root=/mine").data.reader.root == "/mine"


def test_variants_by_valence_differ_in_their_variant_alone() -> None:
    names = ("positive", "negative", "neutral", "balanced")
    configs = {name: dict(checked(f"+experiment=faces_{name}")) for name in names}
    for name, config in configs.items():
        assert (config["bias"].variant, config["name"]) == (name, f"faces_{name}")
        del config["name"]
        config["bias"] = {key: value for key, value in config["bias"].items() if key != "variant"}
    assert all(config == configs["balanced"] for config in configs.values())


def test_doses_have_one_total_whatever_is_swept() -> None:
    doses = [
        checked("+experiment=faces_doses", f"bias.variant={variant}", f"bias.dose={dose}").bias
        for variant in ("positive", "neutral", "negative")
        for dose in (0, 0.8)
    ]
    assert {(bias.largest_dose, bias.total) for bias in doses} == {(0.8, None)}
    twin = checked("+experiment=faces_positive").bias
    assert dict(twin) | {"largest_dose": 0.8} == dict(doses[0]) | {"dose": twin.dose}


def test_the_experiments_on_skin_are_twins() -> None:
    spurious, balanced = (checked(f"+experiment=faces_skin_{name}") for name in WITH_AND_WITHOUT)
    assert balanced.bias.twins == [spurious.bias.shares]
    assert (spurious.bias.twins, balanced.bias.shares) == ([{}], None)
    assert spurious.data == balanced.data


def test_the_experiments_on_gender_are_twins() -> None:
    unbalanced, balanced = (checked(f"+experiment=faces_gender_{name}") for name in GENDERS)
    assert balanced.bias.twins == [unbalanced.bias.shares]
    assert unbalanced.bias.twins == [balanced.bias.shares]
    assert balanced.bias.variant != unbalanced.bias.variant
    assert (unbalanced.data, unbalanced.model) == (balanced.data, balanced.model)
    # The set that the experiments on valence have rendered.
    reader = checked("+experiment=faces_balanced").data.reader
    drawn = ("n", "size", "seed", "population", "equal_by", "faces_per_identity")
    assert all(unbalanced.data.reader[name] == reader[name] for name in drawn)


def test_the_cnns_of_a_sweep_differ_in_depth_and_kernel_alone() -> None:
    faces = "data.root=/faces"
    three = checked("+experiment=emotions_cnn", faces)
    deep = checked("+experiment=emotions_cnn", faces, "model.layers=5", "model.kernel=9")
    assert (deep.model.layers, deep.model.kernel) == (5, 9)
    plain = dict(three) | {"model": None}
    assert dict(deep) | {"model": None} == plain
    with pytest.raises(ConfigError, match=r"model\.kernel"):
        checked("+experiment=emotions_cnn", faces, "model.kernel=4")


def test_rebalanced_emotions_differ_from_the_plain_ones_in_their_remedy_alone() -> None:
    plain = dict(checked("+experiment=emotions_cnn3", "data.root=/faces"))
    for name, attributes in (("reweighed", ["gender", "age"]), ("undersampled", ["gender", "age"])):
        config = dict(checked(f"+experiment=emotions_{name}", "data.root=/faces"))
        assert config["remedy"].attributes == attributes
        assert config | {"remedy": plain["remedy"], "name": plain["name"]} == plain


def test_only_the_lesson_lets_a_leak_pass() -> None:
    leaking = [
        file.stem
        for file in EXPERIMENTS
        if checked(f"+experiment={file.stem}", "data.root=/faces").data.copies != "drop"
    ]
    assert leaking == ["emotions_leaky"]


def test_navarasa_augmented_differs_in_its_augmentation_alone() -> None:
    plain, augmented = (
        dict(checked(f"+experiment=navarasa{name}", "data.root=/faces"))
        for name in ("", "_augmented")
    )
    assert plain["augment"].transforms == {}
    assert len(augmented["augment"].transforms) == 4
    assert augmented | {"augment": plain["augment"], "name": plain["name"]} == plain


def test_a_checkout_has_its_own_conf_folder() -> None:
    assert CONF.samefile(Path(__file__).parents[1] / "conf")
    assert (CONF / "train.yaml").is_file()


def test_an_installed_package_has_conf_inside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("facebias.config.__file__", str(tmp_path / "facebias" / "config.py"))
    assert conf_folder() == tmp_path / "conf"
    (tmp_path / "facebias" / "conf").mkdir(parents=True)
    assert conf_folder() == tmp_path / "facebias" / "conf"


def test_unique_letters_are_the_same_within_a_process_and_differ_between() -> None:
    code = (
        "from omegaconf import OmegaConf\n"
        "from facebias.config import register_resolvers\n"
        "register_resolvers()\n"
        "config = OmegaConf.create({'a': '${unique:}', 'b': '${unique:}'})\n"
        "register_resolvers()\n"
        "print(config.a, config.b)\n"
    )
    pairs = [
        subprocess.run(  # noqa: S603
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout.split()
        for _ in range(2)
    ]
    assert all(first == second and len(first) == 6 for first, second in pairs)
    assert pairs[0] != pairs[1]
