"""To look through volumes: one slice, the mouse wheel turns the pages; two volumes beside each other or
blended, and a DVF as arrows."""

import numpy as np
import SimpleITK as sitk

from functions.image.dvf import require_dvf
from functions.image.geometry import Geometry, require_same_grid
from functions.setting.errors import InputError, unknown_name

MODES = ('side', 'blend')
#: by slice_axis: array axes of the rows and of the columns of a slice
_AXES = {0: (1, 2), 1: (0, 2), 2: (0, 1)}
_ARROWS = 24  # about as many along the longer side of a slice


def slice_aspect(spacing, slice_axis):
    """Height of a pixel over its width, for slices across array axis 0 (axial), 1 (coronal) or 2 (sagittal).

    :param spacing: (x, y, z) mm.
    :raises InputError: another axis.
    """
    if slice_axis not in _AXES:
        raise InputError(f'slice_axis must be 0 (axial), 1 (coronal) or 2 (sagittal); got {slice_axis!r}.')
    rows, columns = _AXES[slice_axis]
    return float(spacing[2 - rows]) / float(spacing[2 - columns])


def view3d_image(
    im, cmap='gray', title=None, spacing=None, slice_axis=0, other=None, mode='side', dvf=None, window=None
):
    """Open a window on a volume; scrolling shows the next or the previous slice, around the end.

    :param im: SimpleITK image, or array [z, y, x].
    :param spacing: (x, y, z) mm; None: the image's own, 1 mm for an array.
    :param slice_axis: array axis the slices are taken across: 0 axial, 1 coronal, 2 sagittal.
    :param other: a second volume on the same grid.
    :param mode: 'side': the two beside each other, turned together; 'blend': the first in magenta, the second
        in green, grey where they agree.
    :param dvf: displacement image on the same grid, or array [z, y, x, 3] in mm along the axes of the array:
        its part within the slice as arrows, true to scale, from fixed to moving.
    :param window: (lowest, highest) value shown; None: those of the volumes.
    :return: the :class:`SliceViewer`; keep it for as long as the window should react.
    :raises InputError: volumes, grids or a direction that do not fit; UnknownNameError: another mode.
    """
    # Only here, because pyplot picks a display when it is imported.
    from matplotlib import pyplot

    viewer = SliceViewer(pyplot.figure(), im, cmap, title, spacing, slice_axis, other, mode, dvf, window)
    pyplot.show()
    return viewer


class SliceViewer:
    """Slices of a volume in a figure; `show(k)` turns to one, the mouse wheel to the neighbours.

    Coronal and sagittal slices are shown with the last z at the top (superior, for an identity direction).
    ``pictures`` and ``panels`` are the shown images and their axes, one or two.
    """

    def __init__(
        self,
        figure,
        im,
        cmap='gray',
        title=None,
        spacing=None,
        slice_axis=0,
        other=None,
        mode='side',
        dvf=None,
        window=None,
    ):
        if mode not in MODES:
            raise unknown_name('mode of two volumes', mode, MODES)
        if spacing is None:
            spacing = im.GetSpacing() if isinstance(im, sitk.Image) else (1.0, 1.0, 1.0)
        self.spacing, self.slice_axis = spacing, slice_axis
        self.aspect = slice_aspect(spacing, slice_axis)
        self.volumes = [_volume(volume) for volume in ([im] if other is None else [im, other])]
        if len({volume.shape for volume in self.volumes}) > 1:
            raise InputError(
                'Two volumes to look at together must have one shape; got {} and {}.'.format(
                    *[volume.shape for volume in self.volumes]
                )
            )
        for volume, name in ((other, 'The second volume'), (dvf, 'The DVF')):
            if isinstance(im, sitk.Image) and isinstance(volume, sitk.Image):
                require_same_grid(im, volume, 'The first volume', name)
        self.arrows = None if dvf is None else _along_axes(dvf, self.volumes[0].shape)
        self.window = window or (
            min(float(volume.min()) for volume in self.volumes),
            max(float(volume.max()) for volume in self.volumes),
        )
        self.blended = len(self.volumes) == 2 and mode == 'blend'
        self.index = self.volumes[0].shape[slice_axis] // 2
        count = 1 if self.blended else len(self.volumes)
        self.panels = [figure.add_subplot(1, count, 1 + k) for k in range(count)]
        self.pictures = [
            axes.imshow(
                section,
                cmap=cmap,
                aspect=self.aspect,
                vmin=self.window[0],
                vmax=self.window[1],
                origin='upper' if slice_axis == 0 else 'lower',
            )
            for axes, section in zip(self.panels, self._sections())
        ]
        if title:
            (self.panels[0].set_title if count == 1 else figure.suptitle)(title)
        self.quivers = [] if dvf is None else [self._quiver(axes) for axes in self.panels]
        self.show(self.index)
        figure.canvas.mpl_connect('scroll_event', self._on_scroll)

    @property
    def axes(self):
        """Axes of the first picture."""
        return self.panels[0]

    @property
    def picture(self):
        """The first picture."""
        return self.pictures[0]

    def slice(self, index, volume=0):
        """The 2D array of slice `index` of a volume."""
        return np.take(self.volumes[volume], index, axis=self.slice_axis)

    def show(self, index):
        """Show slice `index`, counted around the end."""
        self.index = index % self.volumes[0].shape[self.slice_axis]
        for picture, section in zip(self.pictures, self._sections()):
            picture.set_data(section)
        for quiver in self.quivers:
            quiver.set_UVC(*self._in_plane())
        for axes in self.panels:
            axes.set_xlabel(f'slice {self.index}')
        self.axes.figure.canvas.draw_idle()

    def _sections(self):
        """What each panel shows: 2D arrays, or one of colours."""
        sections = [self.slice(self.index, k) for k in range(len(self.volumes))]
        if not self.blended:
            return sections
        low, high = self.window
        first, second = (np.clip((section - low) / max(high - low, 1e-9), 0, 1) for section in sections)
        return [np.stack([first, second, first], axis=-1)]

    def _every(self):
        return [slice(step // 2, None, step) for step in [max(1, max(self._shape()) // _ARROWS)] * 2]

    def _shape(self):
        return tuple(self.volumes[0].shape[axis] for axis in _AXES[self.slice_axis])

    def _in_plane(self):
        """Arrows of the slice, in pixels along its columns and along its rows."""
        section = np.take(self.arrows, self.index, axis=self.slice_axis)[tuple(self._every())]
        rows, columns = _AXES[self.slice_axis]
        return [section[..., 2 - axis] / float(self.spacing[2 - axis]) for axis in (columns, rows)]

    def _quiver(self, axes):
        rows, columns = (np.arange(n)[every] for n, every in zip(self._shape(), self._every()))
        u, v = self._in_plane()
        return axes.quiver(columns, rows, u, v, angles='xy', scale_units='xy', scale=1, color='#ffcc33')

    def _on_scroll(self, event):
        self.show(self.index + (1 if event.button == 'up' else -1))


def _volume(im):
    array = np.asarray(sitk.GetArrayFromImage(im) if isinstance(im, sitk.Image) else im)
    if array.ndim != 3 or array.size == 0:
        raise InputError(f'A volume of three axes is needed to look at; got shape {array.shape}.')
    return array


def _along_axes(dvf, shape):
    """Displacements [z, y, x, 3] in mm along the axes x, y, z of the array, whatever the direction."""
    if isinstance(dvf, sitk.Image):
        dvf = require_dvf(dvf)
        turn = np.array(Geometry.of(dvf).direction).reshape(3, 3)
        # Columns of the direction are the array's axes; the dot product with each is the part along it.
        dvf = sitk.GetArrayFromImage(dvf) @ turn.astype(np.float32)
    dvf = np.asarray(dvf)
    if dvf.shape != shape + (3,):
        raise InputError(f'The DVF has the shape {dvf.shape}; it needs {shape + (3,)}.')
    return dvf
