"""Put other faces before a finished run: the same tables, pictures and page.

python -m facebias.predict run=FOLDER faces=FOLDER_OR_TABLE
"""

from pathlib import Path

from omegaconf import DictConfig

from facebias.commandline import run_verb
from facebias.schemas import Predict


def predict(config: DictConfig) -> Path:
    """Run one prediction from a checked configuration.

    Args:
        config: `facebias.schemas.Predict`, as `facebias.config.check` returns it.

    Returns:
        The output folder.

    Raises:
        FacebiasError: for a run, faces or folders that do not fit.
    """
    import torch

    from facebias.report.pages import write_run_report
    from facebias.report.summary import print_summary
    from facebias.runs.assemble import assemble_classifier, assemble_trainer
    from facebias.runs.checkpoints import checkpoint_file
    from facebias.runs.finished import read_train_config
    from facebias.runs.folder import open_run
    from facebias.runs.others import load_other_faces
    from facebias.runs.ranks.processes import refuse_several

    refuse_several(config, "facebias.predict")
    run, folder = Path(config.run).expanduser(), Path(config.paths.run)
    trained = read_train_config(run)
    with open_run(folder, config):
        loaders = load_other_faces(config, trained)
        loaders.faces.write(folder)
        classes = len(loaders.faces.table.classes)
        model = assemble_classifier(trained, torch.ones(classes), training=False)
        which = trained.checkpoint.use if config.checkpoint == "run" else config.checkpoint
        assemble_trainer(config).predict(
            model,
            datamodule=loaders,
            return_predictions=False,
            ckpt_path=checkpoint_file(run, which),
            weights_only=True,
        )
        write_run_report(folder)
    print_summary(folder)
    return folder


if __name__ == "__main__":
    run_verb("predict", Predict, predict)
