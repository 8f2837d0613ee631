"""What each key of a configuration is: its type, unit and range.

A node with a `_target_` is described by the dataclass of that target in `TARGETS`, or, where the
target belongs to another library, by that class's own signature. Every other node is described by
the dataclass of its place. `facebias.config.check` holds a configuration against them.
"""

from dataclasses import dataclass, field
from typing import Any

from omegaconf import MISSING


def value(
    default: Any = MISSING,  # noqa: ANN401 - the type stands at the field
    *,
    low: float | None = None,
    high: float | None = None,
    choices: tuple[Any, ...] = (),
    prefix: str = "",
) -> Any:  # noqa: ANN401
    """Declare a field with the values that it may have.

    Args:
        default: where the key is not given.
        low: the least number.
        high: the largest number.
        choices: the only values.
        prefix: what a text begins with.
    """
    limits = {"low": low, "high": high, "choices": choices, "prefix": prefix}
    if isinstance(default, (list, dict)):
        return field(default_factory=lambda: default.copy(), metadata=limits)
    return field(default=default, metadata=limits)


def target(default: str | None = None) -> Any:  # noqa: ANN401
    """Declare a field that holds a node with a `_target_`; by default that of this name."""
    node = {} if default is None else {"_target_": default}
    return field(default_factory=node.copy, metadata={"target": True})


def targets() -> Any:  # noqa: ANN401
    """Declare a field that holds nodes with a `_target_` by name; a null switches one off."""
    return field(default_factory=dict, metadata={"targets": True})


CAM_METHODS = (
    *("grad_cam", "grad_cam_plus_plus", "x_grad_cam", "hires_cam", "layer_cam"),
    *("cam", "eigen_cam", "score_cam", "ablation_cam", "integrated_gradients", "occlusion"),
)
"""Those of `facebias.cam.methods.METHODS`, which would take torch to read."""


@dataclass
class ReadClassFolders:
    """`facebias.data.readers.folders.read_class_folders`: class folders with side CSVs."""

    root: str = MISSING
    classes: list[str] = value()
    attributes: dict[str, list[str]] | None = value(None)
    splits: dict[str, str] | None = value(None)
    label_map: dict[str, str] | None = value(None)
    columns: dict[str, str] | None = value(None)
    identity_pattern: str | None = value(None)
    provenance: str = value("not stated")


@dataclass
class ReadTable:
    """`facebias.data.readers.tables.read_table`: a CSV, JSON or Parquet file, a row a face."""

    file: str = MISSING
    root: str = MISSING
    classes: list[str] = value()
    attributes: dict[str, list[str]] | None = value(None)
    label_map: dict[str, str] | None = value(None)
    columns: dict[str, str] | None = value(None)
    provenance: str = value("not stated")
    splits: dict[str, str] | None = value(None)
    box: dict[str, str] | None = value(None)
    landmarks: list[list[str]] | None = value(None)


@dataclass
class ReadAffectNet:
    """`facebias.data.readers.affectnet.read_affectnet`: lists with boxes, or cut faces."""

    root: str = MISSING
    target: str = value("expression", choices=("expression", "valence"))
    classes: list[str] = value(
        ["neutral", "happy", "sad", "surprise", "fear", "disgust", "anger", "contempt"]
    )


@dataclass
class ReadCelebA:
    """`facebias.data.readers.celeba.read_celeba`: 40 attributes of two values each."""

    root: str = MISSING
    target: str = value()
    classes: list[str] = value()
    attributes: dict[str, list[str]] | None = value(None)
    columns: dict[str, str] | None = value(None)
    provenance: str = value("not stated")


@dataclass
class ReadGeneratedFaces:
    """`facebias.data.readers.generated.read_generated_faces`: faces with known causes.

    Without a `root` they are rendered below `cache` on first use.
    """

    root: str | None = value(None)
    cache: str | None = value(None)
    n: int = value(6000, low=1)
    size: int = value(64, low=16, high=1024)  # pixels
    seed: int = value(0, low=0)
    population: str = value("crossed", choices=("crossed", "realistic"))
    equal_by: str = value("valence", choices=("expression", "valence"))
    faces_per_identity: int = value(4, low=1)
    target: str = value("valence", choices=("valence", "expression", "gender"))
    classes: list[str] = value(["negative", "neutral", "positive"])
    attributes: dict[str, list[str]] | None = value(None)
    provenance: str = value("set by the generator")


@dataclass
class ReadPixelCSV:
    """`facebias.data.readers.pixel_csv.read_pixel_csv`: a CSV file with the pixels of faces."""

    root: str = MISSING
    width: int = value(low=1, high=4096)  # pixels
    height: int = value(low=1, high=4096)  # pixels
    classes: list[str] = value()
    file: str | None = value(None)
    label_map: dict[str, str] | None = value(None)
    attributes: dict[str, list[str]] | None = value(None)
    columns: dict[str, str] | None = value(None)
    splits: dict[str, str] | None = value(None)
    provenance: str = value("not stated")


@dataclass
class ReadFER2013:
    """`facebias.data.readers.fer2013.read_fer2013`: the pixel CSV, or class folders; FER+."""

    root: str = MISSING
    classes: list[str] = value()
    labels: str = value("fer", choices=("fer", "ferplus"))
    attributes: dict[str, list[str]] | None = value(None)
    provenance: str = value("not stated")


@dataclass
class ReadRAFDB:
    """`facebias.data.readers.rafdb.read_rafdb`: the basic subset."""

    root: str = MISSING
    classes: list[str] = value()
    images: str = value("aligned", choices=("aligned", "original"))
    attributes: dict[str, list[str]] | None = value(None)
    provenance: str = value("annotators, by looking at the photo (Li et al. 2017)")


@dataclass
class ReadUTKFace:
    """`facebias.data.readers.utkface.read_utkface`: labels in the names of the images."""

    root: str = MISSING
    classes: list[str] = value()
    age_bands: dict[str, list[int]] = value()  # years, youngest and oldest
    target: str = value("gender", choices=("gender", "race", "age"))
    attributes: dict[str, list[str]] | None = value(None)
    provenance: str = value("estimated by a model (DEX), checked by a person (Zhang et al. 2017)")


@dataclass
class ReadFairFace:
    """`facebias.data.readers.fairface.read_fairface`: two CSV files and their images."""

    root: str = MISSING
    classes: list[str] = value()
    target: str = value("gender", choices=("gender", "race", "age"))
    attributes: dict[str, list[str]] | None = value(None)
    provenance: str = value("annotators, by looking at the photo (Karkkainen and Joo 2021)")


@dataclass
class AllFaces:
    """`facebias.data.bias.AllFaces`: the train split as it is."""

    variant: str = value("none")


@dataclass
class AttributeShares:
    """`facebias.data.bias.AttributeShares`: a composition by the groups of one attribute.

    `twins` lists the shares of the other variants, so that all of them get equal label counts.
    """

    variant: str = value()
    attribute: str = value()
    shares: dict[str, float] | None = value(None, low=0)
    twins: list[Any] = value([])  # shares as above; OmegaConf refuses 1 for 1.0 in nested types
    total: int | None = value(None, low=1)
    within: str | None = value(None)


@dataclass
class Association:
    """`facebias.data.bias.Association`: a label tied to groups, the mix of labels kept.

    `shares` and each of `twins` are for some labels the shares of groups: {happy: {female: 1}}.
    """

    variant: str = value()
    attribute: str = value()
    shares: dict[str, dict[str, float]] | None = value(None)
    twins: list[Any] = value([])
    total: int | None = value(None, low=1)
    within: str | None = value(None)
    cramers_v: float | None = value(None, low=0, high=1)
    largest_cramers_v: float | None = value(None, low=0, high=1)
    pairs: dict[str, str] | None = value(None)


@dataclass
class CellShares:
    """`facebias.data.bias.CellShares`: shares of cells, of labels and groups or of labels alone.

    `shares` and each of `twins` nest: {label: share}, {label: {group: share}}, and so on.
    """

    variant: str = value()
    attributes: list[str] = value([])
    shares: dict[str, Any] | None = value(None)
    twins: list[Any] = value([])
    total: int | None = value(None, low=1)
    within: str | None = value(None)
    allow_absent: list[str] = value([])


@dataclass
class UnderRepresentation:
    """`facebias.data.bias.UnderRepresentation`: one group cut to a factor of its faces."""

    variant: str = value()
    attribute: str = value()
    group: str = value()
    factor: float = value(0.1, low=0, high=1)
    smallest_factor: float | None = value(None, low=0, high=1)
    total: int | None = value(None, low=1)
    within: str | None = value(None)


@dataclass
class LabelNoise:
    """`facebias.data.label_noise.LabelNoise`: wrong labels on purpose in one group."""

    variant: str = value()
    attribute: str = value()
    group: str = value()
    rate: float = value(0.2, low=0, high=1)
    towards: str | None = value(None)


@dataclass
class ValenceShares:
    """`facebias.data.bias.ValenceShares`: more positive, negative or neutral faces."""

    variant: str = value(choices=("balanced", "positive", "negative", "neutral"))
    dose: float = value(0.6, low=0, high=1)
    largest_dose: float | None = value(None, low=0, high=1)
    total: int | None = value(None, low=1)
    valences: dict[str, str] | None = value(None)
    within: str | None = value(None)
    allow_absent: list[str] = value([])


@dataclass
class NoRemedy:
    """`facebias.data.remedy.NoRemedy`: the train faces as the bias left them."""


@dataclass
class Undersample:
    """`facebias.data.remedy.Undersample`: as many train faces of every cell as of the smallest."""

    attributes: list[str] = value([])
    total: int | None = value(None, low=1)


@dataclass
class CellWeights:
    """`facebias.data.remedy.CellWeights`: a weight in the loss for each train face, by its cell."""

    attributes: list[str] = value()
    kind: str = value("reweighing", choices=("reweighing", "inverse"))


@dataclass
class CNN:
    """`facebias.models.cnn.CNN`: one block of convolution, norm, activation, pool a filter."""

    filters: list[int] = value(low=1)
    kernels: list[int] = value(low=1)
    pool: int = value(2, low=1)
    dropout: float = value(0.1, low=0, high=1)
    head: str = value("flatten", choices=("flatten", "average"))


@dataclass
class EvenCNN:
    """`facebias.models.cnn.even_cnn`: blocks of one kernel size, the filters doubled in each."""

    layers: int = value(low=1, high=8)
    kernel: int = value(choices=(1, 3, 5, 7, 9, 11, 13))  # pixels
    first: int = value(16, low=1)  # filters of the first block
    pool: int = value(2, low=1)
    dropout: float = value(0.1, low=0, high=1)
    head: str = value("flatten", choices=("flatten", "average"))


@dataclass
class TimmBackbone:
    """`facebias.models.backbones.TimmBackbone`: any network that timm knows, by name."""

    name: str = value()
    pretrained: bool = value(False)
    weights: str | None = value(None)
    frozen: bool = value(False)
    dropout: float = value(0.0, low=0, high=1)


@dataclass
class FaceClassifier:
    """`facebias.models.classifier.FaceClassifier`: the LightningModule."""

    label_smoothing: float = value(0.0, low=0, high=1)
    class_weights: str = value("none", choices=("none", "balanced"))
    channels_last: bool = value(True)


@dataclass
class OneCycle:
    """`facebias.models.schedules.one_cycle`: up to the optimizer's rate and down to nearly 0."""

    warm_up: float = value(0.3, low=0, high=1)


@dataclass
class Cosine:
    """`facebias.models.schedules.cosine`: from the optimizer's rate down to 0."""


@dataclass
class Constant:
    """`facebias.models.schedules.constant`: the optimizer's rate throughout."""


@dataclass
class PredictionsCallback:
    """`facebias.callbacks.predictions.PredictionsCallback`: the table of predictions."""

    folder: str = MISSING


@dataclass
class FairnessCallback:
    """`facebias.callbacks.fairness.FairnessCallback`: metrics by group.

    `intersections: null` takes every pair of attributes.
    """

    folder: str = MISSING
    intersections: list[list[str]] | None = value(None)
    min_group: int = value(30, low=1)
    min_class: int = value(5, low=1)
    replicates: int = value(1000, low=100)
    seed: int = value(0, low=0)
    valences: dict[str, str] | None = value(None)  # of labels


@dataclass
class AnswersCallback:
    """`facebias.callbacks.answers.AnswersCallback`: some faces beside their probabilities."""

    folder: str = MISSING
    per_label: int = value(2, low=1)
    seed: int = value(0, low=0)


@dataclass
class CamCallback:
    """`facebias.callbacks.cam.CamCallback`: heat maps of correct and wrong faces by group."""

    folder: str = MISSING
    method: str = value("layer_cam", choices=CAM_METHODS)
    layer: str = value("auto")
    per_group: int = value(3, low=1)
    seed: int = value(0, low=0)
    every_n_epochs: int | None = value(None, low=1)  # null: only in the end


@dataclass
class MetricsFile:
    """`facebias.runs.metrics_file.MetricsFile`: `metrics.csv`, which goes on after a kill."""

    save_dir: str = MISSING


@dataclass
class WandbLogger:
    """`facebias.runs.wandb_run.wandb_logger`: W&B, offline unless logged in."""

    save_dir: str = MISSING
    name: str = value()
    project: str = value("facebias")
    group: str | None = value(None)  # null: the sweep's name, or the run's
    tags: list[str] = value([])  # beside variant, dose, remedy, seeds and fold
    job_type: str = value("train")


TARGETS: dict[str, type] = {
    "facebias.data.readers.folders.read_class_folders": ReadClassFolders,
    "facebias.data.readers.tables.read_table": ReadTable,
    "facebias.data.readers.affectnet.read_affectnet": ReadAffectNet,
    "facebias.data.readers.celeba.read_celeba": ReadCelebA,
    "facebias.data.readers.generated.read_generated_faces": ReadGeneratedFaces,
    "facebias.data.readers.pixel_csv.read_pixel_csv": ReadPixelCSV,
    "facebias.data.readers.fer2013.read_fer2013": ReadFER2013,
    "facebias.data.readers.rafdb.read_rafdb": ReadRAFDB,
    "facebias.data.readers.utkface.read_utkface": ReadUTKFace,
    "facebias.data.readers.fairface.read_fairface": ReadFairFace,
    "facebias.data.bias.AllFaces": AllFaces,
    "facebias.data.bias.AttributeShares": AttributeShares,
    "facebias.data.bias.Association": Association,
    "facebias.data.bias.CellShares": CellShares,
    "facebias.data.bias.UnderRepresentation": UnderRepresentation,
    "facebias.data.bias.ValenceShares": ValenceShares,
    "facebias.data.label_noise.LabelNoise": LabelNoise,
    "facebias.data.remedy.NoRemedy": NoRemedy,
    "facebias.data.remedy.Undersample": Undersample,
    "facebias.data.remedy.CellWeights": CellWeights,
    "facebias.models.cnn.CNN": CNN,
    "facebias.models.cnn.even_cnn": EvenCNN,
    "facebias.models.backbones.TimmBackbone": TimmBackbone,
    "facebias.models.classifier.FaceClassifier": FaceClassifier,
    "facebias.models.schedules.one_cycle": OneCycle,
    "facebias.models.schedules.cosine": Cosine,
    "facebias.models.schedules.constant": Constant,
    "facebias.callbacks.predictions.PredictionsCallback": PredictionsCallback,
    "facebias.callbacks.fairness.FairnessCallback": FairnessCallback,
    "facebias.callbacks.answers.AnswersCallback": AnswersCallback,
    "facebias.callbacks.cam.CamCallback": CamCallback,
    "facebias.runs.metrics_file.MetricsFile": MetricsFile,
    "facebias.runs.wandb_run.wandb_logger": WandbLogger,
}


@dataclass
class SideTable:
    """A file that says groups of the faces of any data set; no file: none."""

    file: str | None = value(None)  # CSV, JSON or Parquet, a row a face
    key: str | None = value(None)  # column with the face's id, path or file name; null: found
    attributes: dict[str, list[str]] | None = value(None)  # [] for the groups that are found
    columns: dict[str, str] | None = value(None)  # attribute: column, where they differ
    provenance: str = value("not stated")  # who said what the groups are: a person, which model


@dataclass
class Data:
    """The faces, how they are split, and how they are stored and loaded."""

    root: str | None = MISSING  # folder of the data set; null where the reader makes one
    reader: Any = target()
    side_table: SideTable = field(default_factory=SideTable)
    seed: int = value(0, low=0)  # split and composition; fixed within a comparison
    height: int = value(low=8, high=1024)  # pixels
    width: int = value(low=8, high=1024)  # pixels
    channels: int = value(1, choices=(1, 3))  # gray, colour
    margin: float = value(0.0, low=0, high=2)  # a face's box grows by, on each side, as a share
    crop: str | None = value(None, choices=("detect",))  # find the face; null: boxes, or the middle
    folds: int = value(10, low=2)  # validation is one fold of the train split
    fold: int = value(0, low=0)
    stratify: list[str] | None = value(None)  # attributes, beside the label; null: all
    bag: int | None = value(None, low=0)  # k-th sample of the train faces, with replacement
    copies: str = value("drop", choices=("drop", "error", "report", "leak"))  # what would leak
    max_bad: int = value(20, low=0)  # unreadable images, beyond which a run stops
    store: str = value("disk", choices=("disk", "none"))
    normalise: str = value("channel", choices=("channel", "pixel", "image"))
    batch_size: int = value(64, low=1)  # faces a step, over all processes
    workers: int = value(0, low=0)  # processes that load, for each that trains


@dataclass
class Augment:
    """Albumentations transforms of the train faces, by name, in this order."""

    transforms: Any = targets()


@dataclass
class Checkpoint:
    """Which weights are evaluated: of the last epoch, or of the best by a validation metric."""

    use: str = value("last", choices=("last", "best"))
    monitor: str = value("validation/loss", prefix="validation/")


@dataclass
class Paths:
    """Folders."""

    outputs: str = MISSING
    run: str = MISSING  # this run's folder, below outputs
    cache: str = MISSING  # stores of decoded faces


@dataclass
class Train:
    """Everything that `python -m facebias.train` reads."""

    name: str = MISSING  # begins the run folder's name
    seed: int = value(low=0)  # initialisation, order of the faces, augmentation
    fold: int = value(0, low=0)  # which of data.folds parts of the train split validates
    sweep: str | None = value(None)  # name of the sweep that the run belongs to
    threads: int | None = value(None, low=1)  # of each process; null: the cores, shared out
    dry_run: bool = value(False)
    test: bool = value(True)  # score the test faces; off while a recipe is still being chosen
    data: Data = field(default_factory=Data)
    bias: Any = target()
    remedy: Any = target("facebias.data.remedy.NoRemedy")
    augment: Augment = field(default_factory=Augment)
    model: Any = target()
    classifier: Any = target()
    optimizer: Any = target()
    scheduler: Any = target()
    trainer: Any = target()
    checkpoint: Checkpoint = field(default_factory=Checkpoint)
    callbacks: Any = targets()
    logger: Any = targets()
    paths: Paths = field(default_factory=Paths)


@dataclass
class Predict:
    """Everything that `python -m facebias.predict` reads."""

    run: str = MISSING  # folder of a finished run
    faces: str = MISSING  # folder of images, class folders, generated faces; or a table
    name: str = MISSING
    checkpoint: str = value("run", choices=("run", "last", "best"))  # run: as the run evaluated
    label_map: dict[str, str] | None = value(None)  # label found: class of the run
    columns: dict[str, str] | None = value(None)  # meaning: column of the table or side CSV
    attributes: dict[str, list[str]] | None = value(None)  # their groups; null: those of the run
    provenance: str = value("not stated")  # who said what the groups are
    max_bad: int = value(20, low=0)
    batch_size: int = value(64, low=1)
    trainer: Any = target()
    callbacks: Any = targets()
    paths: Paths = field(default_factory=Paths)


@dataclass
class Compare:
    """Everything that `python -m facebias.compare` reads."""

    runs: list[str] | None = value(None)  # folders of finished runs or sweeps, or patterns
    sweep: str | None = value(None)  # instead: a sweep's name or folder
    name: str = MISSING
    faces_per_label: int = value(3, low=1)  # shown
    attention_faces: int = value(100, low=1)  # whose maps are measured, about
    target: str = value("label")  # class that the maps explain; label: each face's own
    method: str = value("layer_cam", choices=CAM_METHODS)
    layer: str = value("auto")
    seed: int = value(0, low=0)
    paths: Paths = field(default_factory=Paths)


@dataclass
class Cam:
    """Everything that `python -m facebias.cam` reads."""

    runs: list[str] = value()  # folders of finished runs or sweeps, or patterns
    faces: str = value("test")  # test or validation of the runs; or a folder or table of faces
    name: str = MISSING
    method: str = value("layer_cam", choices=CAM_METHODS)
    layer: Any = value("auto")  # a module's name; for layer_cam also several, or stages
    target: Any = value("label")  # a class, label, predicted, or a pair: for one, against the other
    per_label: int = value(2, low=1)  # faces of each class in the picture
    max_faces: int | None = value(None, low=1)  # drawn by lot; null: all
    curve_faces: int = value(64, low=0)  # deleted and inserted step by step, drawn by lot
    sanity_faces: int = value(16, low=0)  # explained by networks of random weights, drawn by lot
    min_group: int = value(30, low=1)
    batch_size: int = value(64, low=1)
    seed: int = value(0, low=0)  # of what is drawn by lot
    device: str = value("cpu", choices=("cpu", "cuda"))
    label_map: dict[str, str] | None = value(None)  # label found: class of the runs
    columns: dict[str, str] | None = value(None)  # meaning: column of the table or side CSV
    attributes: dict[str, list[str]] | None = value(None)  # their groups; null: those of the runs
    provenance: str = value("not stated")  # who said what the groups are
    # x and y of both eyes as shares of the face's sides, where no landmarks are known
    eyes: list[list[float]] | None = value(None)
    max_bad: int = value(20, low=0)
    paths: Paths = field(default_factory=Paths)


@dataclass
class Groups:
    """How groups are judged, see `facebias.fairness.settings.Settings`."""

    intersections: list[list[str]] | None = value(None)  # null: every pair of attributes
    min_group: int = value(30, low=1)
    min_class: int = value(5, low=1)
    replicates: int = value(1000, low=100)
    seed: int = value(0, low=0)


@dataclass
class Ensemble:
    """Everything that `python -m facebias.ensemble` reads."""

    runs: list[str] | None = value(None)  # folders of finished runs or sweeps, or patterns
    sweep: str | None = value(None)  # instead: a sweep's name or folder
    vote: str = value("soft", choices=("soft", "hard"))
    name: str = MISSING
    fairness: Groups = field(default_factory=Groups)
    paths: Paths = field(default_factory=Paths)


@dataclass
class Summary:
    """Everything that `python -m facebias.summary` reads."""

    runs: list[str] | None = value(None)  # folders of finished runs or sweeps, or patterns
    sweep: str | None = value(None)  # instead: a sweep's name or folder
    name: str = MISSING
    paths: Paths = field(default_factory=Paths)


@dataclass
class Audit:
    """Everything that `python -m facebias.audit` reads."""

    predictions: Any = MISSING  # file, a row a face; {name: file} of several models
    truth: str | None = value(None)  # file of labels and groups; null: beside the predictions
    key: str | None = value(None)  # column that names a face in all files
    label: str = MISSING  # column of the true class
    predicted: str = MISSING  # column of the predicted class
    groups: list[str] = value([])  # columns of the attributes
    identity: str | None = value(None)  # column of the person; null: every row is its own
    confidence: str | None = value(None)  # column, of the predicted class; share or percent
    probabilities: str = value("p_")  # what such columns begin with; the class follows
    classes: list[str] | None = value(None)  # null: those of the truth, in natural order
    attributes: dict[str, list[str]] | None = value(None)  # declared groups; null: those found
    label_map: dict[str, str] | None = value(None)  # value of the truth: class
    predicted_map: dict[str, str] | None = value(None)  # value predicted: class; null: label_map
    group_map: dict[str, dict[str, str]] | None = value(None)  # attribute: value: group
    unmapped: str = value("error", choices=("error", "report"))  # values that are not declared
    references: dict[str, str] | None = value(None)  # attribute: group to compare others with
    positive: str | None = value(None)  # class that the criteria are about; null: every class
    # attribute: {true group: {estimated group: share}} of an estimator of groups
    estimated: dict[str, Any] | None = value(None)
    # attribute: {true group: rows} that these shares were found on; null: known exactly
    estimated_rows: dict[str, dict[str, int]] | None = value(None)
    valences: dict[str, str] | None = value(None)  # class: negative, neutral or positive
    train: Any = value(None)  # file, or {attribute: {group: {class: rows}}}; or by model
    train_shares: Any = value(None)  # class: share in the training; or by model; null: of train
    provenance: str = value("not stated")  # who said what the labels and groups are
    name: str = MISSING
    fairness: Groups = field(default_factory=Groups)
    paths: Paths = field(default_factory=Paths)


@dataclass
class Check:
    """Everything that `python -m facebias.check` reads."""

    faces: str | None = value(None)  # folder or table to guess a reader for; null: data says it
    name: str = MISSING
    data: Data = field(default_factory=Data)
    bias: Any = target()
    paths: Paths = field(default_factory=Paths)


@dataclass
class Crop:
    """Everything that `python -m facebias.crop` reads."""

    photos: str = MISSING  # folder of photos: class folders, in split folders or not, or loose
    out: str = MISSING  # folder of the faces; new or empty
    width: int = value(75, low=8, high=1024)  # pixels
    height: int = value(110, low=8, high=1024)  # pixels
    gray: bool = value(True)
    margin: float = value(0.1, low=0, high=2)  # grown on each side, as a share of the found box
    form: str = value("images", choices=("images", "pixel_csv"))
    attributes: dict[str, list[str]] | None = value(None)  # their groups, from CSV files
    columns: dict[str, str] | None = value(None)  # meaning: column of the CSV files
    workers: int | None = value(None, low=1)  # threads; null: one a core


@dataclass
class Live:
    """Everything that `python -m facebias.live` reads."""

    run: str = MISSING  # folder of a finished run
    port: int | None = value(None, low=1024, high=65535)  # null: any that is free
    open: bool = value(False)  # the browser, by itself
    # grown on each side, as a share of the found box; null: as in the run's own faces
    margin: float | None = value(None, low=0, high=2)
    rate: float = value(30.0, low=1, high=60)  # frames a second that are taken
    threads: int | None = value(None, low=1)  # of torch; null: as many as it takes


@dataclass
class FacesData:
    """What generated faces are drawn from."""

    seed: int = value(0, low=0)  # people, labels, poses and light; the same seed, the same faces


@dataclass
class Twins:
    """Counterfactual twins: each face again at other values of one factor."""

    factor: str | None = value(None)  # expression, or a number or choice of FaceFactors; null: none
    values: list[Any] = value([])  # numbers in the factor's range and unit, or names


@dataclass
class Faces:
    """Everything that `python -m facebias.faces` reads."""

    out: str = MISSING  # folder of the faces; new, empty, or one to go on with
    n: int = value(6000, low=1, high=1_000_000)  # faces, before twins
    size: int = value(64, low=16, high=1024)  # pixels along a side
    supersampling: int = value(2, low=1, high=8)  # samples along a pixel's side
    population: str = value("crossed", choices=("crossed", "realistic"))
    equal_by: str = value("expression", choices=("expression", "valence"))  # labels equally often
    faces_per_identity: int = value(4, low=1)
    workers: int | None = value(None, low=1)  # processes; null: one a core
    data: FacesData = field(default_factory=FacesData)
    twins: Twins = field(default_factory=Twins)
