"""Names of the parts of a face: fine parts, and the coarse zones that they add up to."""

import numpy as np
import numpy.typing as npt

# part: zone. A part's code in a region map is its place in this table.
_ZONE_OF_PART = {
    "background": "background",
    "forehead": "forehead",
    "left brow": "brows",
    "right brow": "brows",
    "around the brows": "brows",
    "left eye": "eyes",
    "right eye": "eyes",
    "around the eyes": "eyes",
    "nose": "nose",
    "left cheek": "cheeks",
    "right cheek": "cheeks",
    "upper lip": "mouth",
    "lower lip": "mouth",
    "inner mouth": "mouth",
    "around the mouth": "mouth",
    "chin and jaw": "chin",
    "left ear": "ears",
    "right ear": "ears",
    "hair": "hair",
    "neck": "neck",
    "clothes": "clothes",
    "glasses": "glasses",
}
PARTS = tuple(_ZONE_OF_PART)
ZONES = tuple(dict.fromkeys(_ZONE_OF_PART.values()))
ZONE_CODES: npt.NDArray[np.uint8] = np.array(
    [ZONES.index(zone) for zone in _ZONE_OF_PART.values()], np.uint8
)


def zones(parts: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Merge the fine parts of a region map into coarse zones.

    Args:
        parts: (H, W), codes that index PARTS.

    Returns:
        (H, W), codes that index ZONES.

    >>> ZONES[zones(np.array([[PARTS.index("upper lip")]], np.uint8))[0, 0]]
    'mouth'
    """
    return ZONE_CODES[parts]
