"""Look at a data set before training on it: a card of its classes, groups, faces, leaks and bias.

python -m facebias.check data=emotions data.root=FOLDER
python -m facebias.check faces=FOLDER_OR_TABLE
"""

from pathlib import Path

from omegaconf import DictConfig

from facebias.commandline import run_verb
from facebias.schemas import Check


def check(config: DictConfig) -> Path:
    """Write the card of a data set from a checked configuration.

    Args:
        config: `facebias.schemas.Check`, as `facebias.config.check` returns it.

    Returns:
        The output folder.

    Raises:
        FacebiasError: for data or folders that do not fit.
    """
    from facebias.report.card import print_card, write_card
    from facebias.runs.assemble import prepare_table, read_faces
    from facebias.runs.folder import open_run
    from facebias.runs.unseen import card_settings, labelled, normalised_by, with_guess

    folder = Path(config.paths.run)
    config, said = with_guess(config)
    with open_run(folder, config):
        table = read_faces(config)
        faces = prepare_table(config, labelled(table), trainable=False)
        faces.write(folder)
        settings = card_settings(config, folder, said, is_labelled=bool(table.classes))
        content = write_card(faces, normalised_by(config, faces.statistics), settings, folder)
    print_card(content, folder)
    return folder


if __name__ == "__main__":
    run_verb("check", Check, check)
