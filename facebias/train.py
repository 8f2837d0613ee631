"""Train a network on (biased) faces, measure it by group, show where it looks.

python -m facebias.train +experiment=emotions_cnn3 data.root=FOLDER
"""

from pathlib import Path

from omegaconf import DictConfig

from facebias.commandline import run_verb
from facebias.schemas import Train


def train(config: DictConfig) -> Path:
    """Run one training from a checked configuration.

    Args:
        config: `facebias.schemas.Train`, as `facebias.config.check` returns it.

    Returns:
        The run folder.

    Raises:
        FacebiasError: for data, models or folders that do not fit.
    """
    import lightning.pytorch as pl
    import torch

    from facebias.report.pages import write_run_report
    from facebias.report.summary import print_summary
    from facebias.runs.assemble import (
        assemble_classifier,
        assemble_datamodule,
        assemble_faces,
        assemble_trainer,
    )
    from facebias.runs.checkpoints import checkpoint_file
    from facebias.runs.checks import check_training
    from facebias.runs.folder import open_run
    from facebias.runs.plan import print_plan

    folder = Path(config.paths.run)
    pl.seed_everything(config.seed, verbose=False)
    if config.dry_run:
        print_plan(config)
        return folder
    with open_run(folder, config):
        faces = assemble_faces(config)
        faces.write(folder)
        counts = torch.tensor(faces.class_counts())
        model = assemble_classifier(config, counts, faces.statistics)
        check_training(config, model, faces)
        loaders = assemble_datamodule(config, faces)
        trainer = assemble_trainer(config)
        trainer.fit(model, datamodule=loaders)
        trainer.predict(
            model,
            datamodule=loaders,
            return_predictions=False,
            ckpt_path=checkpoint_file(folder, config.checkpoint.use),
            weights_only=True,
        )
        write_run_report(folder)
    print_summary(folder)
    return folder


if __name__ == "__main__":
    run_verb("train", Train, train)
