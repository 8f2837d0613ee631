"""How groups are judged: the settings that every report on groups shares."""

from dataclasses import dataclass

from facebias.errors import ConfigError


@dataclass(frozen=True)
class Settings:
    """How groups are judged.

    Attributes:
        min_group: rows below which a group is shown but left out of gaps.
        min_class: true rows that a group needs in every class of the test set before its macro
            metrics get an interval and enter gaps, and in a class before a metric of that class
            does; below it a value hangs on a few faces.
        replicates: bootstrap replicates.
        level: confidence of the intervals, in (0, 1).
        seed: of the bootstrap.
    """

    min_group: int = 30
    min_class: int = 5
    replicates: int = 1000
    level: float = 0.95
    seed: int = 0

    def __post_init__(self) -> None:
        """Check the ranges."""
        if self.replicates < 2 or not 0 < self.level < 1 or min(self.min_group, self.min_class) < 1:
            raise ConfigError(
                f"Wrong settings of the group report: {self}.",
                "replicates of 2 or more, level between 0 and 1, min_group and min_class from 1",
            )
