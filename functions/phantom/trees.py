"""Branching trees of airways and vessels, as lists of capsules.

Points are spread evenly through a lobe. A branch grows part of the way towards the centre of its points, splits them in
two by a plane across their longest extent and continues in each half until one point is left, so that the tree fills
the lobe (after Kitaoka 1999 and Tawhai 2000). Radii follow Murray's law from the ends upwards. Arteries run beside the
airways; veins grow towards points of their own, between them.
"""

import collections

import numpy as np

#: positions [n, 3] mm, parent index (-1 at the root), radius in mm of the segment that ends at the node.
Tree = collections.namedtuple('Tree', 'nodes parent radius')
#: start, end [n, 3] mm; radii at both ends [n] mm.
Capsules = collections.namedtuple('Capsules', 'start end radius_start radius_end')

MURRAY = 2.8  # exponent
BENT, SHORTEST, THINNEST = 5.0, 2.2, 0.45  # mm: segments from which on they bend, shortest segment, radius of the ends


def scatter(anatomy, spacing, depth, rng):
    """A jittered lattice of points at least ``depth`` mm inside the lungs: (n, 3) float64, mm."""
    half = [0.5 * side for side in anatomy.patient.size]
    z, y, x = np.meshgrid(*[np.arange(-h + spacing * 0.5, h, spacing) for h in half[::-1]], indexing='ij')
    points = np.stack([x.ravel(), y.ravel(), z.ravel()], axis=1)
    points += rng.uniform(-0.45, 0.45, points.shape) * spacing
    return points[anatomy.lung(*points.T) < -depth]


def _split(points, direction, rng):
    """Two halves of the points, split across their longest extent, preferably not the direction of growth."""
    centred = points - points.mean(axis=0)
    # The extent along the direction of growth counts less, so that branches fork instead of following each other.
    squeezed = centred - 0.4 * np.outer(centred.dot(direction), direction)
    longest = np.linalg.eigh(squeezed.T.dot(squeezed))[1][:, 2]
    # The sign of an eigenvector is arbitrary and differs between libraries.
    longest = longest * np.sign(longest[np.argmax(np.abs(longest))])
    order = np.argsort(squeezed.dot(longest), kind='stable')
    cut = min(max(int(round(len(points) * rng.uniform(0.33, 0.67))), 1), len(points) - 1)
    return points[order[:cut]], points[order[cut:]]


def grow(start, direction, groups, rng, depth):
    """Grow a :class:`Tree`.

    :param start, direction: (3,) mm, the root; unit vector along which the tree enters.
    :param groups: list of point sets (n, 3), one per lobe; the first forks lead one branch to each.
    :param depth: function from position to signed distance to the lungs; branches are kept inside.
    """
    nodes, parents = [np.asarray(start, dtype=np.float64)], [-1]

    def add(position, parent):
        nodes.append(position)
        parents.append(parent)
        return len(nodes) - 1

    stack, trunk = [], 0
    groups = [group for group in groups if len(group)]
    while groups:
        # Lobar branches leave a short trunk one after the other, from the top.
        stack.append((trunk, direction, groups.pop(0), 0.30))
        if len(groups) > 1:
            towards = np.concatenate(groups).mean(axis=0) - nodes[trunk]
            trunk = add(nodes[trunk] + 0.14 * towards, trunk)
    while stack:
        parent, direction, points, reach = stack.pop()
        towards = points.mean(axis=0) - nodes[parent]
        distance = np.linalg.norm(towards)
        if distance < 1e-6:
            towards, distance = direction, 1.0
        if len(points) == 1:
            add(nodes[parent] + towards * max(0.75, min(1.0, SHORTEST / distance)), parent)
            continue
        bend = rng.normal(size=3) * (0.06 * distance)
        length = max(reach * distance, min(SHORTEST, 0.8 * distance))
        # A branch starts in the direction of its parent, then turns towards its points.
        step = towards * (0.75 / distance) + 0.25 * direction
        step = step * (length / np.linalg.norm(step)) + bend * reach
        end = nodes[parent] + step
        if depth(end) > -1.5:
            # The straight line leaves the lung (around the heart, over the diaphragm): turn to the nearest point.
            nearest = points[np.argmin(((points - end) ** 2).sum(axis=1))]
            for part in (0.3, 0.6, 0.9):
                if depth(end + part * (nearest - end)) <= -1.5:
                    break
            end = end + part * (nearest - end)
            step = end - nodes[parent]
        end = add(end, parent)
        direction = step / (np.linalg.norm(step) + 1e-9)
        for half in _split(points, direction, rng):
            stack.append((end, direction, half, 0.42))
    parents = np.array(parents)
    return Tree(np.array(nodes), parents, murray(parents, rng))


def murray(parents, rng):
    """Radius of the segment that ends at each node: ``THINNEST`` +- 15 % at the leaves, then Murray's law."""
    flow = np.zeros(len(parents))
    leaf = np.ones(len(parents), dtype=bool)
    leaf[parents[parents >= 0]] = False
    flow[leaf] = (THINNEST * rng.uniform(0.85, 1.15, leaf.sum())) ** MURRAY
    # Parents come before their children.
    for node in range(len(parents) - 1, 0, -1):
        flow[parents[node]] += flow[node]
    return flow ** (1.0 / MURRAY)


def segments(tree):
    """The capsules of a tree; segments longer than ``BENT`` mm start in the direction of their parent."""
    child = np.arange(1, len(tree.nodes))
    parent = tree.parent[child]
    start, end = tree.nodes[parent], tree.nodes[child]
    start_radius, end_radius = np.minimum(tree.radius[parent], 1.2 * tree.radius[child]), tree.radius[child]
    way = end - start
    length = np.linalg.norm(way, axis=1)
    before = start - tree.nodes[np.maximum(tree.parent[parent], 0)]
    norm = np.linalg.norm(before, axis=1)
    # The root has no parent.
    out = np.where(norm[:, None] > 1e-6, before * (length / np.maximum(norm, 1e-6))[:, None], way)
    out = 0.6 * out + 0.4 * way
    bent = length > BENT
    straight = Capsules(start[~bent], end[~bent], start_radius[~bent], end_radius[~bent])
    curve = []
    for t in (0.0, 1 / 3.0, 2 / 3.0, 1.0):
        # Cubic Hermite curve from ``start`` (tangent ``out``) to ``end`` (tangent ``way``).
        place = start + (t * t * (3 - 2 * t)) * way + (t * (1 - t) ** 2) * out + (t * t * (t - 1)) * way
        radius = start_radius + t * (end_radius - start_radius)
        curve.append((place[bent], radius[bent]))
    return join(straight, *[Capsules(p, q, r, s) for (p, r), (q, s) in zip(curve, curve[1:])])


def join(*capsules):
    """Concatenate lists of capsules."""
    return Capsules(*[np.concatenate(part) for part in zip(*capsules)])


def polyline(points, radii):
    """A chain of capsules through points."""
    points, radii = np.asarray(points, dtype=np.float64), np.asarray(radii, dtype=np.float64)
    return Capsules(points[:-1], points[1:], radii[:-1], radii[1:])


def thicker(capsules, by):
    """The same capsules with radii larger by ``by`` mm."""
    return capsules._replace(radius_start=capsules.radius_start + by, radius_end=capsules.radius_end + by)


def branchings(tree):
    """Indices of the nodes with two or more children, and the radius (mm) of the second largest child of each."""
    order = np.argsort(-tree.radius, kind='stable')
    order = order[tree.parent[order] >= 0]
    second, seen = {}, set()
    for node in order:
        parent = int(tree.parent[node])
        if parent in seen:
            second.setdefault(parent, float(tree.radius[node]))
        seen.add(parent)
    index = np.array(sorted(second), dtype=int)
    return index, np.array([second[i] for i in index])


class DepthMap:
    """Signed distance to the lungs on a lattice of ``step`` mm, read at the nearest point."""

    def __init__(self, anatomy, step):
        size = anatomy.patient.size
        self._first, self._step = [-0.5 * side for side in size], step
        x, y, z = [np.arange(-0.5 * side, 0.5 * side + step, step, dtype=np.float32) for side in size]
        self._depth = anatomy.lung(x[None, None, :], y[None, :, None], z[:, None, None])
        self._last = [n - 1 for n in self._depth.shape[::-1]]

    def __call__(self, position):
        axes = zip(position, self._first, self._last)
        x, y, z = [min(max(int((c - first) / self._step + 0.5), 0), last) for c, first, last in axes]
        return self._depth[z, y, x]


class Trees:
    """All trees of one patient.

    ``arteries`` and ``veins`` are lists of :class:`Tree`, one per lung; ``blood``, ``airway_wall`` and ``airway_lumen``
    are the :class:`Capsules` to draw.
    """

    def __init__(self, anatomy):
        p = anatomy.patient
        self.anatomy = anatomy
        (sx, sy, _), s = p.scale_xyz, p.scale
        rng = p.random_state('trees')
        spacing = max(4.2, 9.0 * s**0.55)
        depth_map = DepthMap(anatomy, max(1.5, 3.0 * s))
        depth = max(1.5, 2.5 * s)
        points = {'artery': scatter(anatomy, spacing, depth, rng), 'vein': scatter(anatomy, spacing * 1.06, depth, rng)}
        spine = float(anatomy.frame.spine(p.carina_z))
        self.carina = np.array([0.0, spine - 27.0 * sy, p.carina_z])
        left_atrium = np.array([4.0 * sx, spine - 36.0 * sy, p.carina_z - 44.0 * s])
        trunk = np.array([14.0 * sx, spine - 52.0 * sy, p.carina_z - 16.0 * s])
        self.arteries, self.veins = [], []
        wall, blood, airway_radius = [], [], max(2.6, 8.5 * s)
        # Trachea, from the neck to the carina.
        top = np.array([0.0, float(anatomy.frame.spine(0.5 * p.size[2])) - 30.0 * sy, 0.55 * p.size[2]])
        lumen = [polyline([top, self.carina], [airway_radius, airway_radius])]
        for sign in (-1, 1):
            hilum = np.array([sign * 29.0 * sx, spine - 27.0 * sy, p.carina_z - (16.0 if sign < 0 else 22.0) * s])
            inward = np.array([sign * 0.8, 0.0, -0.6])
            own = {kind: cloud[cloud[:, 0] * sign > 0] for kind, cloud in points.items()}
            lobes = {kind: [cloud[anatomy.lobe(*cloud.T) == n] for n in (2, 1, 0)] for kind, cloud in own.items()}
            artery = grow(hilum, inward, lobes['artery'], rng, depth_map)
            air = self._beside(artery, airway_radius * 0.68)
            entry = left_atrium + np.array([sign * 17.0 * sx, 0, 2.0 * s])
            vein = grow(entry, inward, lobes['vein'], rng, depth_map)
            self.arteries.append(artery)
            self.veins.append(vein)
            to_lung = polyline([trunk, hilum], [max(2.5, 11.0 * s), artery.radius[0]])
            to_heart = polyline([left_atrium, entry], [max(2.5, 12.0 * s), vein.radius[0]])
            blood += [segments(artery), segments(vein), to_lung, to_heart]
            airways = segments(air)
            airways = Capsules(*[part[airways.radius_end >= 0.85] for part in airways])
            bronchus = polyline([self.carina, air.nodes[0]], [airway_radius * 0.8, airway_radius * 0.7])
            lumen += [airways, bronchus]
            wall.append(thicker(airways, 0.35 + 0.15 * airways.radius_end))
        for chain in (lumen[0], lumen[2], lumen[4]):
            wall.append(thicker(chain, 1.4 * s + 0.4))
        self.airway_lumen, self.airway_wall = join(*lumen), join(*wall)
        self.blood = join(*(blood + self._great_vessels(trunk, left_atrium)))

    @staticmethod
    def _beside(artery, largest):
        """Airways: the tree of the arteries, moved sideways until they touch."""
        direction = artery.nodes - artery.nodes[np.maximum(artery.parent, 0)]
        if len(direction) > 1:
            direction[0] = artery.nodes[1] - artery.nodes[0]
        aside = np.cross(direction, [0.35, 0.2, 1.0])
        flip = np.where((aside * [0.2, 1.0, 0.1]).sum(axis=1) < 0, -1.0, 1.0)
        aside *= flip[:, None] / (np.linalg.norm(aside, axis=1, keepdims=True) + 1e-9)
        radius = np.minimum(0.72 * artery.radius, largest)
        gap = artery.radius + 1.2 * radius + 0.4
        return Tree(artery.nodes + aside * gap[:, None], artery.parent, radius)

    def _great_vessels(self, trunk, left_atrium):
        """Aorta, superior vena cava, pulmonary trunk, and branches to the neck."""
        anatomy, p = self.anatomy, self.anatomy.patient
        (sx, sy, _), s = p.scale_xyz, p.scale
        radius = max(3.0, 12.0 * s)
        z = np.linspace(-0.62 * p.size[2], p.carina_z + 12.0 * s, 24)
        ax, ay = anatomy.aorta_axis(z)
        down = np.stack([ax, ay, z], axis=1)
        root = np.array([p.heart[0] * 0.4 - 10.0 * sx, p.heart[1] + 6.0 * sy, p.carina_z - 36.0 * s])
        rising = np.array([-14.0 * sx, down[-1, 1] - 36.0 * sy, p.carina_z + 4.0 * s])
        turn = np.linspace(0, np.pi, 9)[1:-1]
        middle, reach = 0.5 * (rising + down[-1]), 0.5 * (down[-1] - rising)
        arch = middle - np.cos(turn)[:, None] * reach + np.sin(turn)[:, None] * np.array([0, 0, 20.0 * s])
        aorta = np.concatenate([[root, rising], arch, down[::-1]])
        vessels = [polyline(aorta, np.linspace(1.15 * radius, 0.9 * radius, len(aorta)))]
        cava_top = np.array([-17.0 * sx, rising[1] + 8.0 * sy, p.carina_z + 30.0 * s])
        neck = float(anatomy.frame.spine(0.5 * p.size[2])) - 34.0 * sy
        cava_foot = [-20.0 * sx, rising[1] + 10.0 * sy, p.carina_z - 48.0 * s]
        cava = [cava_foot, cava_top, [-20.0 * sx, neck, 0.55 * p.size[2]]]
        vessels.append(polyline(cava, [0.75 * radius, 0.7 * radius, 0.5 * radius]))
        for offset in (-0.15, 0.5, 0.9):
            base = middle + np.array([offset * 14.0 * sx, offset * 12.0 * sy, 19.0 * s])
            end = [offset * 24.0 * sx, neck + 8.0 * sy, 0.55 * p.size[2]]
            vessels.append(polyline([base, end], [0.42 * radius, 0.36 * radius]))
        pulmonary = polyline([trunk + np.array([2.0 * sx, -10.0 * sy, -26.0 * s]), trunk], [1.05 * radius, radius])
        aside = np.array([10.0 * sx, 0, 0])
        return vessels + [pulmonary, polyline([left_atrium - aside, left_atrium + aside], [14.0 * s, 14.0 * s])]
