"""To look through a volume: one slice, the mouse wheel turns the pages."""
import numpy as np
import SimpleITK as sitk

from functions.setting.errors import InputError


def slice_aspect(spacing, slice_axis):
    """Height of a pixel over its width, for slices across array axis 0 (axial), 1 (coronal) or 2 (sagittal).

    :param spacing: (x, y, z) mm.
    :raises InputError: another axis.
    """
    _require_axis(slice_axis)
    x, y, z = (float(s) for s in spacing)
    return (y / x, z / x, z / y)[slice_axis]


def view3d_image(im, cmap='gray', title=None, spacing=None, slice_axis=0):
    """Open a window on a volume; scrolling shows the next or the previous slice, around the end.

    :param im: SimpleITK image, or array [z, y, x].
    :param spacing: (x, y, z) mm; None: the image's own, 1 mm for an array.
    :param slice_axis: array axis the slices are taken across: 0 axial, 1 coronal, 2 sagittal.
    :return: the :class:`SliceViewer`; keep it for as long as the window should react.
    """
    # Only here, because pyplot picks a display when it is imported.
    from matplotlib import pyplot
    viewer = SliceViewer(pyplot.figure(), im, cmap, title, spacing, slice_axis)
    pyplot.show()
    return viewer


class SliceViewer(object):
    """Slices of a volume in a figure; `show(k)` turns to one, the mouse wheel to the neighbours.

    Coronal and sagittal slices are shown with the last z at the top (superior, for an identity direction).
    """

    def __init__(self, figure, im, cmap='gray', title=None, spacing=None, slice_axis=0):
        if isinstance(im, sitk.Image):
            spacing = im.GetSpacing() if spacing is None else spacing
            im = sitk.GetArrayFromImage(im)
        self.volume = np.asarray(im)
        if self.volume.ndim != 3 or self.volume.size == 0:
            raise InputError('A volume of three axes is needed to look at; got shape {}.'.format(
                self.volume.shape))
        spacing = (1.0, 1.0, 1.0) if spacing is None else spacing
        aspect = slice_aspect(spacing, slice_axis)
        self.slice_axis = slice_axis
        self.index = self.volume.shape[slice_axis] // 2
        self.axes = figure.add_subplot(111)
        if title:
            self.axes.set_title(title)
        self.picture = self.axes.imshow(self.slice(self.index), cmap=cmap, aspect=aspect,
                                        origin='upper' if slice_axis == 0 else 'lower',
                                        vmin=float(self.volume.min()), vmax=float(self.volume.max()))
        self.show(self.index)
        figure.canvas.mpl_connect('scroll_event', self._on_scroll)

    def slice(self, index):
        """The 2D array of slice `index`."""
        return np.take(self.volume, index, axis=self.slice_axis)

    def show(self, index):
        """Show slice `index`, counted around the end."""
        self.index = index % self.volume.shape[self.slice_axis]
        self.picture.set_data(self.slice(self.index))
        self.axes.set_xlabel('slice {}'.format(self.index))
        self.axes.figure.canvas.draw_idle()

    def _on_scroll(self, event):
        self.show(self.index + (1 if event.button == 'up' else -1))


def _require_axis(slice_axis):
    if slice_axis not in (0, 1, 2):
        raise InputError(
    'slice_axis must be 0 (axial), 1 (coronal) or 2 (sagittal); got {!r}.'.format(slice_axis))
