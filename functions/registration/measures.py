"""The log of what was measured on a pair."""

import logging

LOGGER = logging.getLogger(__name__)


def say(found):
    """Log what was measured; a pair that got worse is a warning."""
    before, after = found['intensity']['before'], found['intensity']['after']
    LOGGER.info(
        'Inside %s: correlation %.4f before, %.4f after; mean absolute difference %.1f HU before, '
        '%.1f after; '
        'displacement median %.2f mm, at most %.2f mm; folding %.4f %%',
        found['measured_inside'],
        before['correlation'],
        after['correlation'],
        before['mean_absolute_difference'],
        after['mean_absolute_difference'],
        found['displacement_mm']['median'],
        found['displacement_mm']['max'],
        found['folding_percent'],
    )
    if found['worse']:
        LOGGER.warning(
            'The images are less alike after the registration than before (correlation %.4f '
            'before, %.4f after). '
            'Look at the moved image; is the pair like those the model was trained on?',
            before['correlation'],
            after['correlation'],
        )
    elif found['worse_than_affine']:
        LOGGER.warning(
            'The images are less alike than after the affine registration alone (correlation '
            '%.4f after it, '
            '%.4f in the end).',
            found['intensity']['affine']['correlation'],
            after['correlation'],
        )
