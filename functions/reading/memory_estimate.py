"""How much memory reading will need, computed from the sizes of the images before the first one is read."""

from collections import namedtuple

from functions.image.free_memory import available_memory
from functions.reading.patches import common_size
from functions.setting.errors import InputError

__all__ = ['available_memory', 'bytes_per_voxel', 'estimate', 'require_memory']

GIB = 2.0**30
# An item being read or made: the arrays themselves and what a warp, a Jacobian and a smoothing need beside
# them.
_BYTES_WHILE_MADE = 64
_BYTES_INDEX = 4
#: Batches alive beside those in the queue: being cut, in use, and the one before, which TensorFlow lets go of
#: only when it gets the next.
BATCHES_BESIDE_QUEUE = 3

Estimate = namedtuple('Estimate', 'chunk chunks index item batch batches total')
Estimate.__doc__ = """Bytes: one chunk of the largest items, all chunks held at a time, the patch centres of a
chunk, one item being made, one batch, all batches alive, and the sum."""


def bytes_per_voxel(options):
    """Bytes an item in memory takes per voxel: two int16 images, three float32 components, perhaps a lung
    mask.
    """
    return 4 + 12 + (0 if options.lung_weight == 1 else 1)


def estimate(sizes, options, n_chunks_held=2, n_batches=None):
    """Upper bound of the memory that reading takes.

    :param sizes: (z, y, x) voxels of every item of the list.
    :param n_chunks_held: 2 for a queue (one is served while the next is read), 1 for direct reading.
    :param n_batches: batches alive; default: as many as with a queue.
    :return: :class:`Estimate`.
    """
    voxels = sorted((z * y * x for z, y, x in sizes), reverse=True)
    single = len(voxels) <= options.images_per_chunk
    inside = sum(voxels[: options.images_per_chunk])
    chunk = inside * bytes_per_voxel(options)
    # A single chunk is kept and shared by the semi-epochs.
    chunks = chunk * (1 if single else n_chunks_held)
    index = 0 if options.full_image else inside * _BYTES_INDEX
    batch = _batch_bytes(sizes, options)
    alive = options.queue_size + BATCHES_BESIDE_QUEUE if n_batches is None else n_batches
    item = voxels[0] * _BYTES_WHILE_MADE
    return Estimate(chunk, chunks, index, item, batch, batch * alive, chunks + index + item + batch * alive)


def _batch_bytes(sizes, options):
    if options.full_image:
        z, y, x = common_size(sizes, options.size_unit, options.size_offset)
        return options.batch_size * z * y * x * 4 * (2 + 3 + 1)
    return options.batch_size * 4 * (2 * (2 * options.radius_image + 1) ** 3 + 4 * (2 * options.radius_dvf + 1) ** 3)


def require_memory(needed, available, options):
    """Refuse what cannot fit.

    :param needed: :class:`Estimate`. available: bytes.
    :raises InputError: with the numbers and the settings to reduce.
    """
    if needed.total <= available:
        return
    raise InputError(
        f'{options.train_mode} needs {needed.total / GIB:.2f} GiB but {available / GIB:.2f} GiB are available: '
        f'{needed.chunks / GIB:.2f} GiB for chunks of '
        f'NumberOfImagesPerChunk={options.images_per_chunk} images ({needed.chunk / GIB:.2f} GiB each), '
        f'{needed.index / GIB:.2f} GiB for the patch centres, '
        f'{needed.item / GIB:.2f} GiB for an image being made, '
        f'{needed.batches / GIB:.2f} GiB for batches (MaxQueueSize={options.queue_size}, '
        f'BatchSize={options.batch_size}, {needed.batch / GIB:.3f} GiB each). '
        'Reduce these settings or R.'
    )
