"""How soon the command line answers, against starting Python and importing torch.

python -m tests.benchmarks.startup
"""

import statistics
import subprocess
import sys
import time

_ROUNDS = 5
_COMMANDS = {
    "python -c pass": ["-c", "pass"],
    "import facebias": ["-c", "import facebias"],
    "train --help": ["-m", "facebias.train", "--help"],
    "misspelt key": ["-m", "facebias.train", "data.root=x", "modle=cnn3"],
    "misspelt value": ["-m", "facebias.train", "data.root=x", "model.dropout=2"],
    "import torch": ["-c", "import torch"],
}


def run(arguments: list[str]) -> float:
    """Return the seconds of one command."""
    start = time.perf_counter()
    subprocess.run([sys.executable, *arguments], capture_output=True, check=False)  # noqa: S603 - our own commands
    return time.perf_counter() - start


def main() -> None:
    """Print the seconds of each command, and the ratio to importing torch."""
    seconds: dict[str, list[float]] = {name: [] for name in _COMMANDS}
    for round_number in range(_ROUNDS + 1):
        for name, arguments in _COMMANDS.items():
            spent = run(arguments)
            if round_number:
                seconds[name].append(spent)
    reference = statistics.median(seconds["import torch"])
    print(f"whole processes, median of {_ROUNDS}")
    for name, spent_seconds in seconds.items():
        median = statistics.median(spent_seconds)
        print(f"  {name:<18} {median:6.2f} s   {median / reference:5.2f} of importing torch")


if __name__ == "__main__":
    main()
