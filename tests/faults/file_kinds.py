"""One small file of every kind that is read: name -> (function that makes it in a folder, function that reads it).

What a function reads is a number, an array, text, or nested lists of them, so that it can be compared.
"""

import functools
import json
import os

import numpy as np
import SimpleITK as sitk

from functions.commands.script_settings import read_changes
from functions.elastix.affine import read_affine
from functions.elastix.parameter_files import read_parameters
from functions.elastix.registration import AFFINE_FILE
from functions.elastix.transform_files import read_chain, write_linear_transform, write_total_transform
from functions.evaluation.experiments import result_facts
from functions.evaluation.pair_record import FORMAT as RECORD_FORMAT
from functions.evaluation.pair_record import read_record
from functions.image.geometry import Geometry
from functions.image.manifest import check_manifest, record_file, record_output, write_manifest
from functions.image.point_files import read_points, write_points
from functions.image.transforms import matrix_and_offset, write_affine
from functions.image.volume_io import array_view, read_image, write_image
from functions.preprocessing.dicom import read_series
from functions.preprocessing.dirlab_raw import read_raw
from functions.registration.pair_lists import read_pairs
from functions.registration.result_folder import read_result, read_results
from functions.setting import setting_utils as su
from functions.setting.atomic import write_json, write_text
from functions.setting.checkpoint_records import RECORD_FORMAT as CHECKPOINT_FORMAT
from functions.setting.checkpoint_records import describe_file
from functions.setting.data_sets import read_own_data_sets
from functions.setting.experiment_files import SETTINGS_CHECKSUM
from functions.setting.text_files import checksum_of, read_text
from functions.setting.trained_models import checkpoint_path
from tests.elastix.elastix_truths import FIXED_GRID, an_affine
from tests.preprocessing.dicom_files import write_slices

SIZE = (7, 6, 5)
POINTS = np.random.RandomState(0).uniform(1, 4, (4, 3))


def voxels():
    return np.random.RandomState(1).randint(-1000, 400, SIZE[::-1]).astype(np.int16)


def image(is_field=False):
    array = np.random.RandomState(2).uniform(-5, 5, SIZE[::-1] + (3,)).astype(np.float32) if is_field else voxels()
    found = sitk.GetImageFromArray(array, isVector=is_field)
    found.SetSpacing((1.5, 0.75, 2.0))
    found.SetOrigin((3.0, -4.0, 5.5))
    return found


def in_folder(name):
    """The function that makes a file: the folder and the path come from here."""

    def decorate(function):
        @functools.wraps(function)
        def make(folder):
            os.makedirs(folder)
            path = os.path.join(folder, name)
            return function(path) or path

        return make

    return decorate


# ---- images


def image_file(name, compress=False):
    return in_folder(name)(lambda path: sitk.WriteImage(image(), path, compress))


def seen(path):
    found = read_image(path)
    return [array_view(found), found.GetSpacing(), found.GetOrigin(), found.GetDirection()]


@in_folder('s02.dcm')
def dicom(path):
    write_slices(os.path.dirname(path), voxels())


def seen_series(path):
    found = read_series(os.path.dirname(path))
    return [array_view(found), found.GetSpacing(), found.GetOrigin(), found.GetDirection()]


def raw(path):
    (voxels() + 1024).tofile(path)


# ---- transforms


def linear(path):
    return list(matrix_and_offset(read_affine(path)))


def composite():
    return sitk.CompositeTransform([sitk.Euler3DTransform((1.0, 2, 3), 0.1, 0.2, 0.3, (4.0, 5, 6)), an_affine()])


def foreign(transform):
    return lambda path: sitk.WriteTransform(transform, path)


def parameters_of_elastix(path):
    """Without our checksum, as elastix writes them."""
    write_linear_transform(path, an_affine(), FIXED_GRID)
    text = read_text(path)
    write_text(path, text[: text.index('// checksum')])


def chain(path):
    def plain(values):
        return [str(value) for value in values]

    return [[[name] + plain(values) for name, values in one.items()] for one in read_chain(path)]


def transform_of_field(path):
    field = os.path.join(os.path.dirname(path), 'displacement.mha')
    write_image(image(True), field)
    return write_total_transform(os.path.dirname(path), field, image(), an_affine())


# ---- points


def points_file(file_format, is_foreign=False):
    def write(path):
        grid = image() if file_format in ('dirlab', 'elastix_index') else None
        write_points(path, POINTS, grid, file_format, list('abcd') if file_format in ('fcsv', 'mrk.json') else None)
        if is_foreign and file_format == 'mrk.json':
            with open(path) as stream:
                content = json.load(stream)
            del content['checksum']
            write_text(path, json.dumps(content))
        elif is_foreign:
            write_text(path, ''.join(line for line in open(path) if not line.startswith('# checksum')))

    return write


def points_as(file_format):
    def read(path):
        found = read_points(path, image(), file_format)
        return [found.points, found.labels or []]

    return read


# ---- records


def text_file(text):
    return lambda path: write_text(path, text)


def json_file(content):
    return lambda path: write_json(path, content)


def content(value, keys=None):
    """A dictionary (``keys``: these entries of it) as text that can be compared."""
    value = value if keys is None else [[key, value.get(key)] for key in sorted(keys)]
    return json.dumps(value, sort_keys=True)


@in_folder('results.json')
def results(path):
    field = os.path.join(os.path.dirname(path), 'displacement.mha')
    write_image(image(True), field)
    grid = Geometry.of(image())._asdict()
    record = {'format': 1, 'settings': {'fixed': 'a.mha', 'moving': 'b.mha'}, 'measures': {'left_out': []}}
    record.update(grids=dict.fromkeys(('results', 'fixed', 'moving'), grid), outputs=[record_file(field)])
    write_json(path, record)


def seen_results(path):
    found = read_results(os.path.dirname(path))
    return [content(found.record['grids']), content(found.record['settings']), array_view(read_result(found))]


def model(folder):
    """Settings, their record and a checkpoint of one variable."""
    from functions.tf_utils.backend import tf

    setting, name = su.address_of_folder(folder)
    place = su.address_generator(setting, 'ModelFolder', current_experiment=name)
    path = su.write_setting({'stage': 4, 'NetworkDesign': 'unet1', 'normalization': 'lung'}, place + 'setting0.txt')
    write_json(place + 'about0.json', {SETTINGS_CHECKSUM: checksum_of(read_text(path))})
    prefix = su.address_generator(setting, 'saved_model', current_experiment=name)
    os.makedirs(os.path.dirname(prefix))
    with tf.Graph().as_default() as graph, tf.Session(graph=graph) as session:
        variable = tf.get_variable('w', initializer=voxels().astype(np.float32), use_resource=True)
        session.run(variable.initializer)
        prefix = tf.train.Saver().save(session, prefix, 3, write_meta_graph=False, write_state=False)
    files = [prefix + ending for ending in ('.index', '.data-00000-of-00001')]
    files = {os.path.basename(path): describe_file(path) for path in files}
    record = {'format': CHECKPOINT_FORMAT, 'step': 3, 'files': files, 'state': {'iteration': 7}}
    write_json(prefix + '.json', record)
    return path, prefix


def restored(prefix):
    from functions.setting.trained_models import restoring
    from functions.tf_utils.backend import tf
    from functions.tf_utils.weights import restore

    with tf.Graph().as_default() as graph, tf.Session(graph=graph) as session:
        variable = tf.get_variable('w', SIZE[::-1], use_resource=True)
        with restoring(prefix):
            restore(session, tf.train.Saver(), prefix)
        return session.run(variable)


def made_model(folder):
    return model(folder)[0]


def seen_setting(path):
    setting, name = su.address_of_folder(_experiment(path))
    return content(su.read_setting(setting, name))


def _experiment(path):
    return path[: path.index('/train/')]


def made_checkpoint(folder):
    return model(folder)[1] + '.json'


def seen_checkpoint(path):
    setting, name = su.address_of_folder(_experiment(path))
    return restored(checkpoint_path(setting, 'Last', name))


def published_checkpoint(folder):
    """With the graph the published code writes, and no record."""
    prefix = model(folder)[1]
    os.remove(prefix + '.json')
    write_text(prefix + '.meta', 'graph')
    return prefix + '.index'


def seen_published(path):
    return restored(path[: -len('.index')])


@in_folder('manifest.json')
def manifest(path):
    output = os.path.join(os.path.dirname(path), 'a.mha')
    write_image(image(), output)
    write_manifest(path, {'seed': 1}, 1, [record_output(output)])


def seen_manifest(path):
    """What counts is that no damaged work counts as done."""
    done, reason = check_manifest(path, {'seed': 1}, 1, verify=True)
    if not done:
        from functions.setting.errors import InputError

        raise InputError(f'{path}: {reason}')
    return done


def lines_of_pairs(path):
    return content([[pair.name, pair.files] for pair in read_pairs(path)])


def seen_changes(path):
    return content(read_changes(path))


RECORD = {'format': RECORD_FORMAT, 'method': 'RegNet', 'pair': [{'name': 'a'}, {'name': 'b'}], 'protocol': 'dirlab'}
OWN = {'mine': {'types': ['In', 'Ex'], 'cases': 3, 'expPrefix': 'case'}}
PAIRS = 'name,fixed,moving\na,f.mha,m.mha\nb,g.mha,n.mha\n'
CHANGES = {'stage': 4, 'NetworkTraining': {'BatchSize': 2, 'LearningRate_Base': 0.0015}, 'AGMode': 'Resp'}

#: name -> (make, read)
KINDS = {
    '.mha': (image_file('a.mha'), seen),
    '.mha, compressed': (image_file('a.mha', True), seen),
    '.mhd with .raw': (image_file('a.mhd'), seen),
    '.nii': (image_file('a.nii'), seen),
    '.nii.gz': (image_file('a.nii.gz'), seen),
    '.nrrd': (image_file('a.nrrd'), seen),
    '.nrrd, compressed': (image_file('a.nrrd', True), seen),
    '.nhdr with .raw': (image_file('a.nhdr'), seen),
    '.hdr with .img': (image_file('a.hdr'), seen),
    'DICOM slice': (dicom, seen_series),
    'DIR-Lab .img': (in_folder('a.img')(raw), lambda p: array_view(read_raw(p, (SIZE, (1, 1, 2)), -1024))),
    'affine.tfm of ours': (in_folder('a.tfm')(lambda path: write_affine(an_affine(), path)), linear),
    '.tfm': (in_folder('a.tfm')(foreign(an_affine())), linear),
    '.tfm, composite': (in_folder('a.tfm')(foreign(composite())), linear),
    'transform .h5': (in_folder('a.h5')(foreign(an_affine())), linear),
    'transform .mat': (in_folder('a.mat')(foreign(an_affine())), linear),
    'TransformParameters of ours': (
        in_folder('a.txt')(lambda path: write_linear_transform(path, an_affine(), FIXED_GRID)),
        linear,
    ),
    'TransformParameters': (in_folder('a.txt')(parameters_of_elastix), linear),
    'TransformParameters of a field, ours': (in_folder('TransformParameters.1.txt')(transform_of_field), chain),
    'elastix parameters': (
        in_folder('p.txt')(lambda path: write_text(path, read_text(AFFINE_FILE))),
        lambda p: content(read_parameters(p)),
    ),
    'points .txt of ours': (in_folder('a.txt')(points_file('elastix_point')), points_as('elastix_point')),
    'points .txt with a count': (in_folder('a.txt')(points_file('elastix_point', True)), points_as('elastix_point')),
    'points .txt': (in_folder('a.txt')(points_file('dirlab')), points_as('dirlab')),
    'points .csv': (in_folder('a.csv')(points_file('csv')), points_as('csv')),
    'points .fcsv of ours': (in_folder('a.fcsv')(points_file('fcsv')), points_as(None)),
    'points .fcsv': (in_folder('a.fcsv')(points_file('fcsv', True)), points_as(None)),
    'points .mrk.json of ours': (in_folder('a.mrk.json')(points_file('mrk.json')), points_as(None)),
    'points .mrk.json': (in_folder('a.mrk.json')(points_file('mrk.json', True)), points_as(None)),
    'results of ours': (results, seen_results),
    'settings of a model, ours': (made_model, seen_setting),
    'checkpoint of ours': (made_checkpoint, seen_checkpoint),
    'checkpoint of the published code': (published_checkpoint, seen_published),
    'manifest of ours': (manifest, seen_manifest),
    'registration.json of ours': (
        in_folder('registration.json')(json_file({'seconds': 1.5, 'method': 'x'})),
        lambda p: content(result_facts(p), ('seconds', 'method')),
    ),
    'measures of ours': (in_folder('m.json')(json_file(RECORD)), lambda p: content(read_record(p), RECORD)),
    'settings file': (in_folder('s.json')(text_file(json.dumps(CHANGES))), seen_changes),
    'data_sets.json': (
        in_folder('data_sets.json')(text_file(json.dumps(OWN))),
        lambda p: content(read_own_data_sets(os.path.dirname(p))),
    ),
    'list of pairs': (in_folder('p.csv')(text_file(PAIRS)), lines_of_pairs),
}
#: How many faults of a kind, where each takes a process of its own.
FAULTS = {'transform .h5': 5}
#: Kinds of which every file in the folder is damaged, one after the other.
OF_SEVERAL_FILES = (
    '.mhd with .raw',
    '.nhdr with .raw',
    '.hdr with .img',
    'TransformParameters of a field, ours',
    'results of ours',
    'settings of a model, ours',
    'checkpoint of ours',
    'checkpoint of the published code',
    'manifest of ours',
)
