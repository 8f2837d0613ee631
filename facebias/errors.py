"""The errors that facebias raises on purpose; a command prints them without a traceback."""


class FacebiasError(Exception):
    """An error that a user can mend.

    Args:
        found: what was found, as a sentence.
        expected: what was expected instead.
        todo: what to do about it.
    """

    def __init__(self, found: str, expected: str = "", todo: str = "") -> None:
        super().__init__(found, expected, todo)
        self.found, self.expected, self.todo = found, expected, todo

    def __str__(self) -> str:
        """Return the parts that were given, a line each."""
        lines = [self.found]
        if self.expected:
            lines.append(f"Expected: {self.expected}")
        if self.todo:
            lines.append(f"What to do: {self.todo}")
        return "\n".join(lines)


class ConfigError(FacebiasError):
    """A wrong key, value or target in the configuration."""


class DataError(FacebiasError):
    """A data set that is missing, malformed or too small for what was asked of it."""


class CompositionError(DataError):
    """A composition of the train split that the data cannot supply."""


class ModelError(FacebiasError):
    """A model, layer or weights file that does not fit."""


class RunError(FacebiasError):
    """A run folder that cannot be written, read or resumed."""
