"""What the passes of trained networks leave of a training image, so that a later network is trained on just that."""

import functools

from ..image import resample
from ..image.dvf import compose, invert
from ..image.volume_io import array_view, image_from_array
from ..setting.seeds import random_state
from .multi_stage import WorkingPair, register_images, warped_inside


class PassesBefore:
    """Passes of trained networks that run before the one being trained.

    :param model: :class:`functions.registration.network_pyramid.Model`; its stages are no finer than the images.
    :param fewer: share of the images on which not all of the passes run, but none or some of the first.
    :param errors: what is left is the error of the passes, not the field of a next one.
    """

    def __init__(self, model, fewer=0.0, errors=False):
        self._model, self._fewer, self._errors = model, fewer, errors
        self._predict = {
            stage: functools.partial(network.predict, default=model.default)
            for stage, network in model.networks.items()
        }

    def __call__(self, fixed, moving, masks, dvf, stage, name):
        """The moving image as the passes warp it, and what is left for the next pass.

        :param fixed, moving: SimpleITK images, HU, on one grid with voxels of ``stage`` mm.
        :param masks: fixed and moving mask on that grid, outside which the networks see nothing.
        :param dvf: the true field, ITK vector image, mm, on that grid.
        :param name: of the image; it decides how many passes run.
        :return: (moving image, moving mask, DVF): r with r(p) + U(p + r(p)) = dvf(p), U the field of the passes, which
            is inverted for it; or the error dvf(p) - U(p).
        :raises InputError: an empty mask, or an implausible field.
        """
        model, pair = self._model, WorkingPair(fixed, moving, masks)
        stages = model.stages[: self._number(name)]
        if not stages:
            return moving, masks[1], dvf
        how = {'default': model.default, 'margins': model.margins, 'voxel': stage}
        found, _ = register_images(pair, self._predict, stages, **how)
        inside = resample.warp(masks[1], found, 'nearest', 0)
        warped = warped_inside(moving, found, inside, model.default)
        if self._errors:
            return warped, inside, image_from_array(array_view(dvf) - array_view(found), dvf)
        return warped, inside, compose(dvf, invert(found)[0])

    def _number(self, name):
        """How many of the passes run on an image."""
        every, random = len(self._model.stages), random_state('PassesBefore', name)
        return random.randint(every) if random.uniform() < self._fewer else every
