"""What the passes of trained networks leave of a training image, so that a later network is trained on just that."""

import functools

from ..image import resample
from ..image.dvf import compose, invert
from .multi_stage import WorkingPair, register_images, warped_inside


class PassesBefore:
    """Passes of trained networks that run before the one being trained.

    :param model: :class:`functions.registration.network_pyramid.Model`; its stages are no finer than the images.
    """

    def __init__(self, model):
        self._model = model
        self._predict = {
            stage: functools.partial(network.predict, default=model.default)
            for stage, network in model.networks.items()
        }

    def __call__(self, fixed, moving, masks, dvf, stage):
        """The moving image as the passes warp it, and what is left for the next pass.

        :param fixed, moving: SimpleITK images, HU, on one grid with voxels of ``stage`` mm.
        :param masks: fixed and moving mask on that grid, outside which the networks see nothing.
        :param dvf: the true field, ITK vector image, mm, on that grid.
        :return: (moving image, moving mask, DVF): r with r(p) + U(p + r(p)) = dvf(p), U the field of the passes, which
            is inverted for it.
        :raises InputError: an empty mask, or an implausible field.
        """
        model, pair = self._model, WorkingPair(fixed, moving, masks)
        how = {'default': model.default, 'margins': model.margins, 'voxel': stage}
        found, _ = register_images(pair, self._predict, model.stages, **how)
        inside = resample.warp(masks[1], found, 'nearest', 0)
        warped = warped_inside(moving, found, inside, model.default)
        return warped, inside, compose(dvf, invert(found)[0])
