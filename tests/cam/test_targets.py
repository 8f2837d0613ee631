import pytest
import torch

from facebias.cam.explain import class_maps
from facebias.cam.targets import check_targets, directions, named_targets
from facebias.errors import ConfigError, DataError, ModelError
from tests.cam.networks import noise, small_cnn

CLASSES = ("happy", "neutral", "sad")


def test_the_predicted_class_is_each_images_own_answer() -> None:
    maps = class_maps(small_cnn(), noise(7), "predicted", batch_size=3)
    assert maps.targets.tolist() == maps.logits.argmax(axis=1).tolist()
    named = class_maps(small_cnn(), noise(7), torch.from_numpy(maps.targets), batch_size=3)
    assert (named.values == maps.values).all()
    assert named.against is None


def test_a_contrast_explains_the_difference_of_two_logits() -> None:
    model, difference = small_cnn(), small_cnn()
    positive, negative = torch.tensor([0, 1]), torch.tensor([2, 2])
    with torch.no_grad():
        difference.get_parameter("4.weight").sub_(model.get_parameter("4.weight")[2])
    contrast = class_maps(model, noise(2), (positive, negative))
    expected = class_maps(difference, noise(2), positive)
    torch.testing.assert_close(
        torch.from_numpy(contrast.values), torch.from_numpy(expected.values), rtol=1e-4, atol=1e-4
    )
    assert contrast.against is not None
    assert contrast.against.tolist() == [2, 2]


def test_a_class_against_itself_has_no_map() -> None:
    classes = torch.tensor([0, 1])
    maps = class_maps(small_cnn(), noise(2), (classes, torch.tensor([0, 2])))
    assert maps.defined.tolist() == [False, True]


def test_names_become_numbers() -> None:
    labels = ["sad", "happy"]
    found = named_targets(("label", "neutral"), CLASSES, labels)
    assert isinstance(found, tuple)
    assert [each.tolist() for each in found] == [[2, 0], [1, 1]]
    assert named_targets("predicted", CLASSES, labels) == "predicted"


@pytest.mark.parametrize("choice", ["angry", ["sad"], ["sad", "sad"], ["sad", "predicted"]])
def test_wrong_names_are_refused(choice: str | list[str]) -> None:
    with pytest.raises(ConfigError, match="target"):
        named_targets(choice, CLASSES, ["sad"])


def test_a_class_called_as_a_word_of_ours_is_refused() -> None:
    with pytest.raises(ConfigError, match="'label'"):
        named_targets("sad", ("sad", "label"), ["sad"])
    with pytest.raises(DataError, match="'angry'"):
        named_targets("label", CLASSES, ["angry"])


def test_targets_that_do_not_fit_are_refused() -> None:
    good = torch.tensor([0, 1])
    with pytest.raises(DataError, match="'true'"):
        check_targets("true", 2)  # type: ignore[arg-type]
    with pytest.raises(DataError, match=r"\(1,\)"):
        check_targets((good, good[:1]), 2)
    with pytest.raises(ModelError, match="0 to 1"):
        directions(good, torch.zeros(2, 1))
