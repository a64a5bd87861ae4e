"""Images in threads: nobody's memory moves under anybody else."""

import numpy as np
import pytest
import SimpleITK as sitk

from functions.image.threads import in_slabs, in_threads, itk_threads
from functions.image.volume_io import array_view


def test_what_is_given_once_is_not_copied_and_order_is_kept():
    images = [sitk.GetImageFromArray(np.full((2, 3, 4), value, np.int16)) for value in (1, 2)]
    found = in_threads(lambda image, number: (image, number), images, [1, 2])
    assert found[0][0] is images[0] and found[1] == (images[1], 2)


def test_an_image_given_twice_is_another_one_for_every_call_and_stays_as_it_is():
    image = sitk.Image(4, 3, 2, sitk.sitkInt16)
    view = array_view(image)

    def fill(one):
        one[0, 0, 0] = 7
        return one

    first, second = in_threads(fill, [image, image])
    assert first is not image and second is not image and first is not second
    assert first[0, 0, 0] == second[0, 0, 0] == 7 and not view.any() and not array_view(image).any()


@pytest.mark.parametrize('n, threads', [(10, 3), (2, 5), (0, 2), (7, 1)])
def test_slabs_cover_everything_once_and_in_order(n, threads):
    with itk_threads(threads):
        parts = in_slabs(list, n)
    assert len(parts) == threads and sum(parts, []) == list(range(n))


def test_what_fails_in_a_slab_reaches_the_caller():
    def fail(part):
        raise ValueError(f'slices {part.start}')

    with pytest.raises(ValueError, match='slices 0'):
        in_slabs(fail, 4)
