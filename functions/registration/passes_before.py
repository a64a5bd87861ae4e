"""What the passes of trained networks leave of a training image, so that a later network is trained on just that."""

import functools

from ..image.dvf import compose, invert, resample_dvf
from ..image.volume_io import Geometry, array_view, image_from_array
from ..setting.seeds import random_state
from .both_ways import predict_pass
from .multi_stage import WorkingPair, at_stage, register_images


class PassesBefore:
    """Passes of trained networks that run before the one being trained.

    :param model: :class:`functions.registration.network_pyramid.Model`; its stages are no finer than the images.
    :param stage: of the network being trained; the images may have smaller voxels.
    :param fewer: share of the images on which not all of the passes run, but none or some of the first.
    :param errors: what is left is the error of the passes, not the field of a next one.
    """

    def __init__(self, model, stage, fewer=0.0, errors=False):
        self._model, self._stage, self._fewer, self._errors = model, stage, fewer, errors
        self._predict = {
            stage: functools.partial(predict_pass, model, stage, model.symmetric) for stage in model.networks
        }

    def __call__(self, fixed, moving, masks, dvf, voxel, name):
        """What a network of the stage sees after the passes, and what is left for it.

        :param fixed, moving: SimpleITK images, HU, on one grid with voxels of ``voxel`` mm.
        :param masks: fixed and moving mask on that grid, outside which the networks see nothing.
        :param dvf: the true field, ITK vector image, mm, on that grid.
        :param name: of the image; it decides how many passes run.
        :return: (fixed image, moving image as the passes warp it, their masks, DVF), with voxels of the stage; the DVF
            is r with r(p) + U(p + r(p)) = dvf(p), U the field of the passes, which is inverted for it; or the error
            dvf(p) - U(p).
        :raises InputError: an empty mask, or an implausible field.
        """
        model, stages, found = self._model, self._model.stages[: self._number(name)], None
        pair, grid = WorkingPair(fixed, moving, masks), Geometry.of(fixed)
        if stages:
            how = {'default': model.default, 'margins': model.margins, 'voxel': voxel}
            found, _ = register_images(pair, self._predict, stages, **how)
        fixed, moving, masks, found = at_stage(pair, grid, self._stage, found, model.default, voxel)
        dvf = resample_dvf(dvf, Geometry.of(fixed))
        if found is not None and self._errors:
            dvf = image_from_array(array_view(dvf) - array_view(found), dvf)
        elif found is not None:
            dvf = compose(dvf, invert(found)[0])
        return fixed, moving, masks, dvf

    def _number(self, name):
        """How many of the passes run on an image."""
        every, random = len(self._model.stages), random_state('PassesBefore', name)
        return random.randint(every) if random.uniform() < self._fewer else every
