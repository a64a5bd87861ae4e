"""One patient in memory: shapes, trees, breathing, and the images, masks and landmarks made from them."""

import numpy as np
import SimpleITK as sitk

from .branching_landmarks import choose_landmarks
from .breathing import Breathing, check_type
from .frame import Frame
from .patient import Patient, check_options
from .rendering import pull_back, render_reference
from .scanner import scan
from .thorax_anatomy import Anatomy
from .trees import Trees


class Case:
    """Patient ``cn``, from 1, of the phantom.

    The trees and the reference volume are made on first use and kept; ``release`` frees the volume.

    :param options: any of :data:`functions.phantom.patient.DEFAULT_OPTIONS`, or None; an InputError if unusable.
    """

    def __init__(self, cn, options=None):
        self.options = check_options(options)
        self.patient = Patient(cn, self.options)
        self.frame = Frame(self.patient)
        self.anatomy = Anatomy(self.frame)
        self.breathing = Breathing(self.frame)
        self._trees = self._reference = self._landmarks = None
        # Slices below the box that breathing lifts into it.
        self._below = int(np.ceil(1.3 * self.breathing.rise)) + 4

    @property
    def trees(self):
        """:class:`functions.phantom.trees.Trees` in the reference phase."""
        if self._trees is None:
            self._trees = Trees(self.anatomy)
        return self._trees

    def release(self):
        """Free the reference volume (about 250 MB in full size); it is made again when needed."""
        self._reference = None

    def volumes(self, type_im):
        """The noise-free phase, a :class:`functions.phantom.rendering.TissueVolumes`; do not change its arrays."""
        check_type(type_im)
        if self._reference is None:
            self._reference = render_reference(self.anatomy, self.trees, self._below)
        return pull_back(self.breathing, self._reference, self._below, type_im)

    def phase(self, type_im):
        """(image int16 in HU, lung mask uint8, torso mask uint8) of a phase: SimpleITK images at 1 mm, identity
        direction. An InputError when there is no such phase.
        """
        volumes = self.volumes(type_im)
        masks = [(volume > 0.5).astype(np.uint8) for volume in (volumes.lung, volumes.body)]
        return tuple(self.to_image(array) for array in (scan(self.patient, volumes, type_im), *masks))

    def landmarks(self, type_im=0):
        """Vessel branchings inside the lungs in a phase, the farthest apart first: (n, 3) float64, world mm.

        :raises InputError: fewer branchings than ``Landmarks`` asks for.
        """
        check_type(type_im)
        if self._landmarks is None:
            self._landmarks = choose_landmarks(self)
        return self.breathing.transform(self._landmarks, 0, type_im) + self.patient.centre

    def to_image(self, array):
        """SimpleITK image of an array [z, y, x] or [z, y, x, 3] on the case's grid."""
        image = sitk.GetImageFromArray(array, isVector=array.ndim == 4)
        image.SetOrigin(self.patient.origin)
        return image
