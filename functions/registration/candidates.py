"""What a registration keeps of what it finds, so that its result is never worse than what it began with.

No registration, the affine transforms and every pass of a network are candidates, judged by how well the two images
agree in them (:mod:`functions.measure.likeness`). What does not make the images more alike is left out, and
the next pass goes on from what was kept.
"""

import collections
import logging

from ..image.transforms import apply_to_points
from ..measure.likeness import COMPARISONS, MODULES

LOGGER = logging.getLogger(__name__)

NONE, AFFINE = 'none', 'affine'
#: Likeness from which on no other affine transform is tried: what is left is 4 mm or less, which the networks can do.
GOOD_AFFINE = 0.6


class Candidates:
    """The candidates of one pair, judged as they arise.

    :param fixed, moving: :class:`functions.registration.input_scan.Scan`. They are compared inside the lungs, else
        inside the torso, else everywhere.
    :param keep_all: judge, but leave nothing out.
    :param measure: a name of :data:`functions.measure.likeness.COMPARISONS`.
    :ivar likeness: dictionary candidate -> likeness in order of appearance, such as 'none', 'affine' and
        'affine + 4 2'.
    :ivar used: the candidate that is kept.
    :ivar linear: the affine transform that is kept, or None.
    :ivar no_more_alike: the candidates that did not raise the likeness.
    """

    def __init__(self, fixed, moving, keep_all=False, measure=MODULES[0]):
        in_both = [name for name in ('Lung', 'Torso') if None not in (fixed.masks[name], moving.masks[name])]
        masks = [scan.masks[in_both[0]] for scan in (fixed, moving)] if in_both else []
        self._compared = COMPARISONS[measure](fixed.image, moving.image, *masks)
        self._keep_all, self.linear, self._stages, self._failed = keep_all, None, [], set()
        self.used, self.no_more_alike = NONE, []
        self.likeness = collections.OrderedDict([(NONE, self._compared.likeness(lambda points: points))])

    def best_affine(self, results):
        """The one of several :class:`functions.elastix.affine.AffineResult` in which the images are most alike; it is
        kept, as ``linear``, where they are more alike than before.

        :param results: one or more; those after one of :data:`GOOD_AFFINE` are not asked for.
        """
        found = []
        for result in results:
            likeness = self._compared.likeness(lambda points, at=result.transform: apply_to_points(points, at))
            found.append((likeness, result))
            if likeness >= GOOD_AFFINE:
                break
        likeness, best = max(found, key=lambda one: one[0])
        if self._is_kept(AFFINE, likeness):
            self.linear = best.transform
        return best

    def needs_pass(self, stage):
        """Whether a pass could bring anything new: not after one of the same network that was left out just before."""
        return stage not in self._failed

    def keeps_pass(self, stage, field):
        """Whether a pass of a network is kept.

        :param field: total displacement field after it, mm, without the affine transform.
        """
        likeness = self._compared.likeness(lambda points: apply_to_points(points, self.linear, field))
        name = ' '.join(map(str, self._stages + [stage]))
        if not self._is_kept(name if self.linear is None else f'{AFFINE} + {name}', likeness):
            self._failed.add(stage)
            return False
        self._stages.append(stage)
        self._failed.clear()
        return True

    def prefers(self, name, field):
        """Whether another field instead of what is kept makes the images more alike; else nothing counts as left out.

        :param name: what was done to the field, such as 'refined'; it is added to what is used.
        :param field: as for :meth:`keeps_pass`.
        """
        name = self._judged(name, field)
        is_better = self.likeness[name] > self.likeness[self.used]
        self.used = name if is_better else self.used
        return is_better

    def accepts(self, name, field):
        """Whether what is kept is still better than its affine transform alone once its field is changed, as it has to
        be; if not, only the affine transform is kept.

        :param name, field: as for :meth:`prefers`.
        """
        base, self.used = NONE if self.linear is None else AFFINE, self._judged(name, field)
        if self.likeness[self.used] > self.likeness[base]:
            return True
        self.no_more_alike.append(self.used)
        self.used = self.used if self._keep_all else base
        return self._keep_all

    def _judged(self, name, field):
        """Full name of a candidate whose likeness is known from now on."""
        name = f'{self.used} + {name}'
        self.likeness[name] = self._compared.likeness(lambda points: apply_to_points(points, self.linear, field))
        return name

    def record(self):
        """{'used', 'likeness', 'left_out'}, JSON-able; logged too, as a warning where the likeness did not rise."""
        found = ', '.join(f'{name} {likeness:.3f}' for name, likeness in self.likeness.items())
        text = f'Used: {self.used} (likeness: {found})'
        if self.no_more_alike:
            what = 'Kept, though' if self._keep_all else 'Left out, since'
            names = '; '.join(self.no_more_alike)
            LOGGER.warning(f'{text}. {what} the images are no more alike after it: {names}.')
        else:
            LOGGER.info(text)
        left_out = [] if self._keep_all else list(self.no_more_alike)
        return {'used': self.used, 'likeness': dict(self.likeness), 'left_out': left_out}

    def _is_kept(self, name, likeness):
        rises = likeness > self.likeness[self.used]
        self.likeness[name] = likeness
        if not rises:
            self.no_more_alike.append(name)
        if rises or self._keep_all:
            self.used = name
        return rises or self._keep_all
