"""See what a finished run's model answers to one's own face, and where it looks.

python -m facebias.live run=FOLDER
"""

from importlib.util import find_spec
from pathlib import Path

from omegaconf import DictConfig

from facebias.commandline import run_verb
from facebias.errors import ConfigError
from facebias.schemas import Live

_PACKAGES = ("starlette", "uvicorn", "websockets")


def live(config: DictConfig) -> None:
    """Serve the page of one run until it is stopped.

    Args:
        config: `facebias.schemas.Live`, as `facebias.config.check` returns it.

    Raises:
        FacebiasError: for a run that does not fit, a port in use, or packages that are missing.
    """
    for package in _PACKAGES:
        if find_spec(package) is None:
            raise ConfigError(
                f"{package} is not installed", "the extra `live`", "pip install 'facebias[live]'"
            )
    import webbrowser

    from facebias.live.frames import load_reader
    from facebias.live.server import LiveApp, listen, make_server
    from facebias.runs.trained import load_runs

    with listen(config.port) as listening:
        (run,) = load_runs([Path(config.run).expanduser()], "show", least=1)
        reader = load_reader(run, config.margin, config.threads)
        app = LiveApp(run, reader, listening.getsockname()[1], config.rate)
        print(f"{run.folder}: faces are cut out {reader.cut.words}")
        print(f"Open this link in a browser on this machine; Ctrl-C stops:\n{app.link}", flush=True)
        if config.open:
            webbrowser.open(app.link)
        make_server(app).run(sockets=[listening])


if __name__ == "__main__":
    run_verb("live", Live, live)
