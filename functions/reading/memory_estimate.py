"""The memory that reading will take, computed from the sizes of the images before the first one is read."""

from collections import namedtuple

from ..image.free_memory import available_memory
from ..setting.errors import InputError
from .items_ahead import AHEAD
from .patches import common_size

__all__ = ['available_memory', 'estimate', 'require_memory']

GIB = 2.0**30
# While an item is read or generated: its arrays, and those of a warp, a Jacobian and a smoothing.
_BYTES_WHILE_MADE = 64
_BYTES_INDEX = 4
# A process that makes items: libraries and original images kept; a voxel of the original that is being down-sampled.
_BYTES_OF_PROCESS, _BYTES_ORIGINAL = 2**29, 16
# An item that waits to be used: images, DVF and masks.
_BYTES_WAITING = 20
#: Batches alive besides the queue: being cut, in use, and the one before, which TensorFlow keeps until the next.
BATCHES_BESIDE_QUEUE = 3

Estimate = namedtuple('Estimate', 'chunk chunks index item batch batches total')
Estimate.__doc__ = """Bytes: one chunk of the largest items, all chunks held at a time, the patch centres of a chunk,
items being generated, one batch, all batches alive, and the sum."""


def estimate(sizes, options, n_chunks_held=2, n_batches=None):
    """Upper bound of the memory that reading takes: :class:`Estimate`.

    :param sizes: (z, y, x) voxels of every item of the list.
    :param n_chunks_held: 2 for a queue (one is served while the next is read), 1 for direct reading.
    :param n_batches: batches alive; default: as many as with a queue.
    """
    voxels = sorted((z * y * x for z, y, x in sizes), reverse=True)
    inside = sum(voxels[: options.images_per_chunk])
    # Two int16 images, three float32 components, perhaps a lung mask.
    chunk = inside * (4 + 12 + (0 if options.lung_weight == 1 else 1))
    # A single chunk is kept and shared by the semi-epochs.
    chunks = chunk * (1 if len(voxels) <= options.images_per_chunk else n_chunks_held)
    index = 0 if options.full_image else inside * _BYTES_INDEX
    if options.full_image:
        z, y, x = common_size(sizes, options.size_unit, options.size_offset)
        values = (2 + 3 + 1) * z * y * x
    else:
        values = 2 * (2 * options.radius_image + 1) ** 3 + (3 + 1) * (2 * options.radius_dvf + 1) ** 3
    batch = 4 * options.batch_size * values
    batches = batch * (options.queue_size + BATCHES_BESIDE_QUEUE if n_batches is None else n_batches)
    item = voxels[0] * _BYTES_WHILE_MADE
    # What processes make is checked and held in this one.
    original = voxels[0] * options.stage**3 * _BYTES_ORIGINAL if options.stage > 1 else 0
    item += options.n_workers * (_BYTES_OF_PROCESS + item + original + AHEAD * voxels[0] * _BYTES_WAITING)
    return Estimate(chunk, chunks, index, item, batch, batches, chunks + index + item + batches)


def require_memory(needed, available, options):
    """Refuse an :class:`Estimate` above the ``available`` bytes: an InputError with the numbers and the settings to
    reduce.
    """
    if needed.total <= available:
        return
    gib = Estimate(*[f'{number / GIB:.3f} GiB' for number in needed])
    raise InputError(
        f'{options.train_mode} needs {gib.total} but {available / GIB:.3f} GiB are available: {gib.chunks} for chunks '
        f'of NumberOfImagesPerChunk={options.images_per_chunk} images ({gib.chunk} each), {gib.index} for the patch '
        f'centres, {gib.item} for images being generated (NumberOfWorkers={options.n_workers}), {gib.batches} for '
        f'batches (BatchSize={options.batch_size}, MaxQueueSize={options.queue_size}, {gib.batch} each). Reduce these '
        'settings or R.'
    )
