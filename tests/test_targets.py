"""Which classes a configuration may name, and which keywords they take."""

import inspect
import subprocess
import sys
from importlib import import_module

import pytest
from hypothesis import given
from hypothesis import strategies as st

from facebias import schemas
from facebias.errors import ConfigError
from facebias.targets import NAMES, NAMESPACES, check_target, keywords

OWN = frozenset(schemas.TARGETS)

REFUSED = [
    "torch.load",
    "torch.jit.load",
    "torch.hub.load",
    "torch.package.PackageImporter",
    "torch.utils.cpp_extension.load_inline",
    "torch.utils.cpp_extension.BuildExtension",
    "torch.nn.functional.relu",
    "torch.nn.Module.load_state_dict",
    "torch.nn.modules.module.torch.load",
    "torch.nn.modules.module.Module",
    "torch.nn.init.xavier_normal_",
    "torch.nn",
    "torch.nn.",
    "torch.nn.Linear.__init__",
    "torch.nn.Linear ",
    "torch.nn.Lin ear",
    " torch.nn.Linear",
    "torch.optim.lr_scheduler.LambdaLR",
    "lightning.pytorch.callbacks.LambdaCallback",
    "lightning.pytorch.LightningModule",
    "lightning.pytorch.Trainer.fit",
    "lightning.pytorch.callbacks.model_checkpoint.os.system",
    "lightning.pytorch.trainer.trainer.Trainer",
    "albumentations.Lambda",
    "albumentations.ReplayCompose",
    "albumentations.load",
    "albumentations.from_dict",
    "albumentations.core.serialization.load",
    "torchmetrics.functional.accuracy",
    "timm.create_model",
    "hydra.utils.get_method",
    "hydra._internal.instantiate._instantiate2.instantiate",
    "functools.partial",
    "logging.FileHandler",
    "os.system",
    "posix.system",
    "builtins.eval",
    "builtins.exec",
    "eval",
    "subprocess.Popen",
    "pickle.load",
    "numpy.load",
    "pandas.read_pickle",
    "facebias.config.build",
    "facebias.files.write_text",
    "facebias.data.bias.compose",
    "facebias.data.bias.np.load",
    "facebias.models.cnn.nn.Linear",
    "facebias.train.train",
    "facebias",
    "",
    ".",
]

ALLOWED = [
    "torch.nn.Linear",
    "torch.optim.AdamW",
    "lightning.pytorch.Trainer",
    "lightning.pytorch.callbacks.EarlyStopping",
    "lightning.pytorch.loggers.CSVLogger",
    "lightning.pytorch.strategies.DDPStrategy",
    "torchmetrics.MeanMetric",
    "torchmetrics.classification.MulticlassAccuracy",
    "albumentations.HorizontalFlip",
    *schemas.TARGETS,
]


@pytest.mark.parametrize("target", REFUSED)
def test_what_could_run_code_is_refused(target: str) -> None:
    with pytest.raises(ConfigError, match=r"data\.reader\._target_ names") as caught:
        check_target(target, OWN, "data.reader")
    assert repr(target) in caught.value.found


@pytest.mark.parametrize("target", ALLOWED)
def test_public_classes_of_listed_namespaces_pass(target: str) -> None:
    check_target(target, OWN, "key")


@given(st.sampled_from(ALLOWED), st.text(st.characters(codec="ascii"), max_size=30))
def test_nothing_below_an_allowed_class_passes(target: str, below: str) -> None:
    with pytest.raises(ConfigError):
        check_target(f"{target}.{below}", OWN, "key")


@pytest.mark.parametrize("namespace", NAMESPACES)
def test_what_passes_is_a_class_of_the_library_itself(namespace: str) -> None:
    """A name that a module merely imported, from os or pathlib, must not slip through."""
    root = namespace.partition(".")[0]
    passed = 0
    for name, found in vars(import_module(namespace)).items():
        target = f"{namespace}.{name}"
        try:
            check_target(target, OWN, "key")
            keywords(target)
        except ConfigError:
            continue
        passed += 1
        assert inspect.isclass(found), target
        assert found.__module__.partition(".")[0] == root, target
    assert passed > 5


def _accepted(target: str) -> frozenset[str] | None:
    """Return what Python itself says of a class's keywords; None where it takes any."""
    namespace, _, name = target.rpartition(".")
    parameters = inspect.signature(getattr(import_module(namespace), name)).parameters.values()
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return None
    by_name = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return frozenset(parameter.name for parameter in parameters if parameter.kind in by_name)


EXACT = {
    "torch.optim": ("Adam", "AdamW", "SGD", "RMSprop", "Adagrad", "LBFGS", "NAdam"),
    "torch.nn": ("Linear", "Conv2d", "CrossEntropyLoss", "Dropout", "BatchNorm2d", "GELU"),
    "lightning.pytorch": ("Trainer",),
    "lightning.pytorch.callbacks": (
        "EarlyStopping",
        "LearningRateMonitor",
        "ModelCheckpoint",
        "RichProgressBar",
    ),
    "lightning.pytorch.loggers": ("CSVLogger",),
    "albumentations": (
        "Affine",
        "CoarseDropout",
        "HorizontalFlip",
        "RandomBrightnessContrast",
        "Compose",
    ),
}


@pytest.mark.parametrize(
    "target", [f"{namespace}.{name}" for namespace, names in EXACT.items() for name in names]
)
def test_keywords_are_those_of_the_constructor(target: str) -> None:
    found = keywords(target)
    # RichProgressBar and a few more pass `**kwargs` on, and take any keyword.
    assert found == _accepted(target)
    assert found is None or "self" not in found


@pytest.mark.parametrize(
    "namespace",
    [
        "torch.nn",
        "torch.optim",
        "lightning.pytorch.callbacks",
        "lightning.pytorch.loggers",
        "lightning.pytorch.strategies",
        "albumentations",
    ],
)
def test_no_class_is_told_to_refuse_a_keyword_that_it_takes(namespace: str) -> None:
    read = 0
    for name, found in vars(import_module(namespace)).items():
        if not (inspect.isclass(found) and name[:1].isupper()):
            continue
        target = f"{namespace}.{name}"
        try:
            ours = keywords(target)
        except ConfigError:  # such as those of hardware that is not installed
            continue
        theirs = _accepted(target) if ours is not None else None
        assert ours is None or theirs is None or ours == theirs, target
        read += ours is not None
    assert read >= 3


@pytest.mark.parametrize("target", ["torch.optim.Adamm", "torch.nn.Conv2D", "albumentations.Flipp"])
def test_a_class_that_does_not_exist_is_refused(target: str) -> None:
    with pytest.raises(ConfigError, match="has no class"):
        keywords(target)


def test_torch_is_read_and_not_imported() -> None:
    targets = [*NAMES, *(target for target in ALLOWED if not target.startswith("facebias."))]
    code = (
        "import sys\n"
        "from facebias.targets import check_target, keywords\n"
        f"for target in {targets!r}:\n"
        "    check_target(target, frozenset(), 'key')\n"
        "    keywords(target)\n"
        "print(*sorted(name.partition('.')[0] for name in sys.modules))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)  # noqa: S603
    loaded = set(done.stdout.split())
    assert "facebias" in loaded
    assert not loaded & {"torch", "lightning", "torchmetrics", "albumentations", "numpy"}
