"""Progress bars."""

from tqdm import tqdm


class Progress(tqdm):
    """A bar of tqdm; ``Progress.quiet`` (``--quiet``) leaves out all of them."""

    quiet = False

    def __init__(self, *arguments, disable=False, **options):
        super().__init__(*arguments, disable=disable or Progress.quiet, **options)
