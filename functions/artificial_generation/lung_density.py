"""Other densities of lungs and vessels, as tables of HU: inflation, disease and contrast agent differ among scans."""

import numpy as np

#: Soft tissue, which keeps its HU; the half width in HU of what counts as parenchyma around the median.
TISSUE, HALF_WIDTH = 40.0, 100.0
#: Limits of the slope below the median: the air in bronchi should stay air, noise should not grow.
DARK_SLOPE = (0.5, 1.3)
#: Contrast agent begins to show at the one value, and is complete at the other.
ENHANCED = (-300.0, 50.0)

_VALUES = np.arange(-32768, 32768, dtype=np.float32)


def density_table(median, new_median, contrast):
    """Table that moves the median of the lungs to another HU.

    :param contrast: scale of the differences from the median within HALF_WIDTH; tissue stays, vessels stay above.
    :return: increasing float32 [65536], the new HU of -32768 to 32767.
    """
    dark = contrast * np.clip((new_median + 1000) / max(median + 1000, 1), *DARK_SLOPE)
    bright = contrast * (TISSUE - new_median) / (TISSUE - median)
    old = [-1000 - median, 0, HALF_WIDTH, TISSUE - median]
    new = [dark * old[0], 0, min(bright * HALF_WIDTH, 0.9 * (TISSUE - new_median)), TISSUE - new_median]
    table = np.interp(_VALUES - np.float32(median), old, new).astype(np.float32) + np.float32(new_median)
    table[_VALUES > TISSUE] = _VALUES[_VALUES > TISSUE]
    return table


def contrast_agent_table(enhancement):
    """Table of an enhancement in HU (negative: less of it), fading out smoothly from soft tissue to lung."""
    part = np.clip((_VALUES - ENHANCED[0]) / (ENHANCED[1] - ENHANCED[0]), 0, 1)
    return _VALUES + np.float32(enhancement) * part * part * (3 - 2 * part)


def draw_tables(rng, median, variety):
    """Tables of the two images of a pair (moving, fixed), float32 [65536]; ``median`` is that of the lungs of the
    moving image, HU, and what makes the fixed one denser stays.
    """
    changed = rng.uniform() < variety['Density']
    new_median, contrast = rng.uniform(*variety['LungHU']), rng.uniform(*variety['LungContrast'])
    half = variety['LungHUDifference'] / 2
    tables = []
    for difference in rng.uniform(-half, half, size=2):
        table = density_table(median, new_median + difference, contrast) if changed else _VALUES
        enhanced, enhancement = rng.uniform() < variety['ContrastAgent'], rng.uniform(*variety['ContrastAgentHU'])
        agent = contrast_agent_table(enhancement) if enhanced else _VALUES
        tables.append(np.interp(table, _VALUES, agent).astype(np.float32))
    return tables


def apply_table(image, table):
    """The values of ``table`` for an int16 image, float32."""
    return np.roll(table, 32768)[image.view(np.uint16)]
