"""--register, --pairs and --apply as a user types them, from files to files."""

import argparse
import json
import logging
import os
import shutil

import numpy as np
import pytest
import SimpleITK as sitk
from model_folders import make_model
from oracle import CENTRE, GRIDS, chest_image, grid_image

import RunRegNet3D
from functions.evaluation import folder_report
from functions.image.geometry import Geometry
from functions.image.point_files import read_points
from functions.image.transforms import affine_from_matrix, write_affine
from functions.registration import command_line, open_model, pair_lists
from functions.registration.result_folder import read_chests
from functions.setting import trained_models
from functions.setting.errors import InputError, MissingFileError


@pytest.fixture(scope='module')
def files(tmp_path_factory):
    """Folder with two scans, their lungs and a model of stage 4."""
    folder = tmp_path_factory.mktemp('scans')
    for name, grid, seed in (('fixed', GRIDS['oblique'], 0), ('moving', ((66, 60, 62), (1.0,) * 3), 1)):
        image, lung = chest_image(grid_image(*grid), seed)
        sitk.WriteImage(image, str(folder / (name + '.nii.gz')))
        sitk.WriteImage(lung, str(folder / (name + '_lung.nrrd')))
    (folder / 'no_ct.mha').write_text('nothing')
    return folder, make_model(folder / 'Experiments')


def words(files, output, *more):
    folder, model = files
    return [
        '--register',
        str(folder / 'fixed.nii.gz'),
        str(folder / 'moving.nii.gz'),
        '--output',
        str(output),
        '--model',
        model,
        '--affine',
        'none',
        '--threads',
        '1',
        '--fixed_lung',
        str(folder / 'fixed_lung.nrrd'),
        '--moving_lung',
        str(folder / 'moving_lung.nrrd'),
    ] + list(more)


@pytest.fixture(scope='module')
def registered(files, tmp_path_factory):
    output = tmp_path_factory.mktemp('registered') / 'results'
    assert RunRegNet3D.main(words(files, output)) == 0
    return output


def outcome(line, caplog):
    """(exit code, the one error line, or None)."""
    caplog.clear()
    with caplog.at_level(logging.INFO):
        code = RunRegNet3D.main(line)
    errors = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert len(errors) <= 1
    return code, errors[0] if errors else None


def test_two_files_become_results_on_the_fixed_grid(files, registered):
    fixed = sitk.ReadImage(str(files[0] / 'fixed.nii.gz'))
    for name in ('displacement.mha', 'moved.mha', 'jacobian.mha'):
        assert Geometry.of(sitk.ReadImage(str(registered / name))) == Geometry.of(fixed)
    record = json.loads((registered / 'results.json').read_text())
    assert record['settings']['fixed'].endswith('fixed.nii.gz') and record['settings']['masks_given'] == [
        'fixed lung',
        'moving lung',
    ]


def test_the_same_again_does_nothing_and_something_else_is_not_written_over_it(files, registered, caplog):
    for name in ('fixed.nii.gz', 'moving_lung.nrrd'):
        os.utime(str(files[0] / name), ns=(5, 5))
    assert outcome(words(files, registered), caplog) == (0, None)
    assert 'nothing was done' in caplog.text
    before = os.stat(str(registered / 'results.json')).st_mtime_ns
    assert outcome(words(files, registered), caplog) == (0, None)
    assert 'nothing was done' in caplog.text
    code, error = outcome(words(files, registered, '--isotropic'), caplog)
    assert code == 2 and '--overwrite' in error
    assert os.stat(str(registered / 'results.json')).st_mtime_ns == before


def test_overwrite_and_the_other_options_reach_the_registration(files, tmp_path, caplog):
    assert outcome(words(files, tmp_path / 'a'), caplog)[0] == 0
    more = ['--isotropic', '--overwrite', '--inverse', '--diffeomorphic', '--input_mask', 'none', '--memory', '1']
    more += ['--symmetric', 'yes']
    assert outcome(words(files, tmp_path / 'a', *more), caplog)[0] == 0
    record = json.loads((tmp_path / 'a' / 'results.json').read_text())
    settings = record['settings']
    assert (settings['grid'], settings['diffeomorphic'], settings['input_mask']) == ('isotropic', True, None)
    assert settings['symmetric']
    assert 'inverse_residual_mm' in record['measures'] and record['measures']['diffeomorphic']['folded_after'] == 0
    assert sitk.ReadImage(str(tmp_path / 'a' / 'moved.mha')).GetSpacing() == (1.0, 1.0, 1.0)


def test_format_reaches_the_files_and_the_report_reads_them(files, tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(folder_report, 'registration_report', lambda *given, **options: None)
    line = words(files, tmp_path / 'out', '--format', 'nrrd', '--export', 'learn2reg')
    assert outcome(line, caplog) == (0, None) and (tmp_path / 'out' / 'moved.nrrd').exists()
    assert (tmp_path / 'out' / 'learn2reg' / 'disp_0000_0001.nii.gz').exists()
    code, error = outcome(words(files, tmp_path / 'dicom', '--export', 'dicom'), caplog)
    assert code == 2 and '--export dicom' in error and not (tmp_path / 'dicom').exists()
    assert outcome(line, caplog) == (0, None) and 'nothing was done' in caplog.text
    code, error = outcome(words(files, tmp_path / 'out'), caplog)
    assert code == 2 and '--overwrite' in error
    assert outcome(['--report', str(tmp_path / 'out')], caplog) == (0, None)
    (tmp_path / 'out' / 'moved.nrrd').write_bytes(b'other')
    code, error = outcome(['--report', str(tmp_path / 'out')], caplog)
    assert code == 2 and 'moved.nrrd is not what was written' in error


def test_apply_to_everything(files, registered, tmp_path, caplog):
    folder = str(files[0])
    apply = ['--apply', str(registered), '--output']
    assert (
        outcome(
            apply + [str(tmp_path / 'm.mha'), '--image', folder + '/moving.nii.gz', '--interpolator', 'bspline'], caplog
        )[0]
        == 0
    )
    moved = sitk.GetArrayFromImage(sitk.ReadImage(str(registered / 'moved.mha'))).astype(float)
    again = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / 'm.mha')))
    seen = moved > -1024
    assert seen.mean() > 0.3 and np.percentile(np.abs(again - moved)[seen], 95) <= 1
    assert again[~seen].max() <= -1000  # where there is no image: its smallest value
    assert outcome(apply + [str(tmp_path / 'l.mha'), '--labels', folder + '/moving_lung.nrrd'], caplog)[0] == 0
    assert set(np.unique(sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / 'l.mha'))))) == {0, 1}
    (tmp_path / 'p.csv').write_text('x,y,z\n{},{},{}\n'.format(*CENTRE))
    assert outcome(apply + [str(tmp_path / 'q.csv'), '--points', str(tmp_path / 'p.csv')], caplog)[0] == 0
    assert outcome(apply + [str(tmp_path / 'r.fcsv'), '--points', str(tmp_path / 'q.csv'), '--inverse'], caplog)[0] == 0
    np.testing.assert_allclose(read_points(str(tmp_path / 'r.fcsv')).points, [CENTRE], atol=0.01)


def test_json_says_what_was_written(files, registered, tmp_path, capsys):
    def found(line, code=0):
        assert RunRegNet3D.main(line + ['--json']) == code
        (printed,) = capsys.readouterr().out.splitlines()
        return json.loads(printed)

    written = json.loads((registered / 'results.json').read_text())
    result = found(words(files, registered))
    assert (result['output'], result['state'], result['error']) == (str(registered), 'was done', None)
    assert result['measures'] == written['measures'] and result['transformix'] == written['transformix']
    (tmp_path / 'p.csv').write_text('x,y,z\n{},{},{}\n'.format(*CENTRE))
    points = ['--points', str(tmp_path / 'p.csv'), '--output', str(tmp_path / 'q.csv'), '--inverse']
    result = found(['--apply', str(registered)] + points)
    assert result['output'] == str(tmp_path / 'q.csv') and 0 <= result['residual_mm'] < 0.01
    image = ['--image', str(files[0] / 'moving.nii.gz'), '--output', str(tmp_path / 'm.mha')]
    assert found(['--apply', str(registered)] + image)['output'] == str(tmp_path / 'm.mha')
    path = list_of_pairs(files, tmp_path / 'pairs.csv', ['bad,{0}/no_ct.mha,{0}/moving.nii.gz,,'.format(files[0])])
    line = ['--pairs', path, '--output', str(tmp_path / 'out'), '--model', files[1], '--affine', 'none']
    result = found(line, 2)
    assert result['exit_code'] == 2 and '1 of 1 pairs failed' in result['error']
    assert [(pair['name'], pair['state']) for pair in result['pairs']] == [('bad', 'failed')]


@pytest.mark.parametrize(
    'line, text',
    [
        (['--register', 'a', 'b'], '--output'),
        (['--pairs', 'a'], '--output'),
        (['--apply', 'a'], 'one of --image'),
        (['--image', 'a'], '--apply'),
        (['--register', 'a', 'b', '--output', 'o'], 'a does not exist'),
        (['--apply', 'a', '--points', 'b'], 'register first'),
        (['--pairs', 'a', '--output', 'o'], 'a does not exist'),
        (['--pairs', 'a', '--output', 'o', '--fixed_lung', 'x'], 'columns'),
    ],
)
def test_impossible_commands_give_one_line(line, text, tmp_path, monkeypatch, caplog):
    monkeypatch.chdir(tmp_path)
    code, error = outcome(line, caplog)
    assert code == 2 and text in error
    assert os.listdir(str(tmp_path)) == []


@pytest.mark.parametrize(
    'change, text',
    [
        (['--stages', '3'], 'Accepted'),
        (['--stages', '2'], 'no network for stage 2'),
        (['--model', '/nowhere'], '/nowhere: no settings file'),
        (['--affine', 'elastics'], 'elastix'),
        (['--memory', '-1'], '--memory'),
        (['--fixed_lung', '/no.mha'], '/no.mha'),
    ],
)
def test_bad_values_are_one_line_and_write_nothing(files, change, text, tmp_path, caplog):
    code, error = outcome(words(files, tmp_path / 'out', *change), caplog)
    assert code == 2 and text in error, error
    assert os.listdir(str(tmp_path)) == []


def test_commands_exclude_each_other():
    parser = argparse.ArgumentParser()
    command_line.add_arguments(parser)
    with pytest.raises(InputError, match='--register and --pairs exclude each other'):
        command_line.asked(parser.parse_args(['--register', 'a', 'b', '--pairs', 'c', '--output', 'o']))
    assert command_line.asked(parser.parse_args([])) is None


def test_the_bundled_set_is_the_default_and_a_set_says_its_passes(tmp_path, monkeypatch):
    folders = {stage: make_model(tmp_path / 'Experiments', f'S{stage}', stage) for stage in (4, 2)}
    (tmp_path / 'Experiments' / 'chest.json').write_text(
        '{"networks": {"4": "RegNet/S4", "2": "RegNet/S2"}, "stages": [4, 4, 2]}'
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(trained_models, 'SHIPPED', str(tmp_path / 'Experiments'))
    for words, stages in (([], [4, 4, 2]), (['--model', 'chest', '--stages', '4'], [4])):
        with command_line._model(RunRegNet3D.parse_arguments(words)) as model:
            assert model.stages == stages and os.path.samefile(model.folders[4], folders[4])
    with pytest.raises(InputError, match='no network for stage 1'):
        open_model('chest', [4, 2, 1])
    with pytest.raises(MissingFileError, match='chests: no settings file'):
        open_model('chests')


# ---- lists of pairs


def list_of_pairs(files, path, rows, header='name,fixed,moving,fixed_lung,moving_lung'):
    with open(str(path), 'w') as stream:
        stream.write('\n'.join([header] + rows) + '\n')
    return str(path)


def register_list(files, folder, **options):
    """Register the pairs.csv of a folder into out."""
    with open_model(files[1], threads=1) as model:
        pairs = pair_lists.read_pairs(folder / 'pairs.csv')
        return pair_lists.register_pairs(pairs, str(folder / 'out'), model, threads=1, affine='none', **options)


def good_row(files, name):
    return ','.join(
        [name]
        + [str(files[0] / part) for part in ('fixed.nii.gz', 'moving.nii.gz', 'fixed_lung.nrrd', 'moving_lung.nrrd')]
    )


def test_what_was_left_out_is_recorded_and_with_strict_the_exit_code_is_3(files, tmp_path, caplog):
    scan, affine = str(files[0] / 'fixed.nii.gz'), str(tmp_path / 'affine.tfm')
    write_affine(affine_from_matrix(np.eye(3), (9.0, 0.0, 0.0)), affine)
    line = words(files, tmp_path / 'out', '--affine', affine, '--strict')
    line[2], line[line.index('--moving_lung') + 1] = scan, line[line.index('--fixed_lung') + 1]
    assert RunRegNet3D.main(line) == 3 and 'written, but without (--strict)' in caplog.text
    measures = json.loads((tmp_path / 'out' / 'results.json').read_text())['measures']
    assert measures['left_out'][0] == 'affine' and measures['used'] == 'none'
    assert {'none', 'affine'} < set(measures['likeness'])
    assert np.abs(sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / 'out' / 'displacement.mha')))).max() == 0
    assert RunRegNet3D.main(line) == 3  # nothing is done again, and said again
    assert RunRegNet3D.main(line[:-1] + ['--keep_all_stages', '--overwrite']) == 0
    measures = json.loads((tmp_path / 'out' / 'results.json').read_text())['measures']
    assert measures['left_out'] == [] and measures['used'] == 'affine + 4'


def test_a_list_of_pairs_goes_on_after_a_failing_one_and_resumes(files, tmp_path, caplog, monkeypatch):
    bad = 'bad,{0}/no_ct.mha,{0}/moving.nii.gz,,'.format(files[0])
    path = list_of_pairs(files, tmp_path / 'pairs.csv', [good_row(files, 'first'), bad, good_row(files, 'second')])
    line = [
        '--pairs',
        path,
        '--output',
        str(tmp_path / 'out'),
        '--model',
        files[1],
        '--affine',
        'none',
        '--threads',
        '1',
    ]
    caplog.clear()
    with caplog.at_level(logging.INFO):
        assert RunRegNet3D.main(line) == 2
    assert '1 of 3 pairs failed' in caplog.text and 'no_ct.mha' in caplog.text
    restored = [record for record in caplog.records if 'restored from' in record.getMessage()]
    assert len(restored) == 1  # networks are opened once
    report = json.loads((tmp_path / 'out' / 'pairs.json').read_text())
    assert [row['state'] for row in report] == ['done', 'failed', 'done'] and 'measures' in report[0]
    assert not (tmp_path / 'out' / 'bad').exists()
    times = os.stat(str(tmp_path / 'out' / 'first' / 'results.json')).st_mtime_ns
    (tmp_path / 'out' / 'second' / 'results.json').unlink()
    list_of_pairs(files, tmp_path / 'pairs.csv', [good_row(files, 'first'), good_row(files, 'third')])
    options = {'grid': 'native', 'input_mask': 'model', 'composition': 'exact', 'diffeomorphic': False}
    options['keep_all_stages'] = False
    outcomes = register_list(files, tmp_path, **options)
    assert [o.state for o in outcomes] == ['was done', 'done']
    assert os.stat(str(tmp_path / 'out' / 'first' / 'results.json')).st_mtime_ns == times


def test_results_of_other_files_are_not_taken_for_this_pairs(files, tmp_path):
    list_of_pairs(files, tmp_path / 'pairs.csv', [good_row(files, 'one')])
    outcomes = register_list(files, tmp_path)
    assert outcomes[0].state == 'done'
    swapped = ','.join(
        ['one']
        + [str(files[0] / part) for part in ('moving.nii.gz', 'fixed.nii.gz', 'moving_lung.nrrd', 'fixed_lung.nrrd')]
    )
    list_of_pairs(files, tmp_path / 'pairs.csv', [swapped])
    outcomes = register_list(files, tmp_path)
    assert outcomes[0].state == 'failed' and '--overwrite' in outcomes[0].reason
    outcomes = register_list(files, tmp_path, overwrite=True)
    assert outcomes[0].state == 'done'


def test_an_unexpected_error_stops_its_own_pair_only(files, tmp_path, monkeypatch):
    list_of_pairs(files, tmp_path / 'pairs.csv', [good_row(files, 'one'), good_row(files, 'two')])
    real, calls = pair_lists.register, []

    def sometimes(*arguments, **options):
        calls.append(1)
        if len(calls) == 1:
            raise RuntimeError('bad allocation')
        return real(*arguments, **options)

    monkeypatch.setattr(pair_lists, 'register', sometimes)
    outcomes = register_list(files, tmp_path)
    assert [o.state for o in outcomes] == ['failed', 'done'] and 'bad allocation' in outcomes[0].reason


@pytest.mark.parametrize(
    'header, rows, text',
    [
        ('fixed,mooving', ['a,b'], 'mooving'),
        ('fixed', ['a'], 'columns fixed and moving'),
        ('fixed,moving', [], 'no pair'),
        ('fixed,moving', ['a,'], 'line 2: no moving'),
        ('fixed,moving', ['a.mha,b.mha', 'x/a.nii,y/b.nii'], 'lines 2 and 3'),
        ('name,fixed,moving', ['../up,a,b'], 'cannot name a folder'),
    ],
)
def test_unusable_lists_are_refused(tmp_path, header, rows, text):
    with pytest.raises(InputError, match=text):
        pair_lists.read_pairs(list_of_pairs(None, tmp_path / 'pairs.csv', rows, header))
    with pytest.raises(MissingFileError):
        pair_lists.read_pairs(str(tmp_path / 'none.csv'))


def test_paths_are_relative_to_the_list_and_pairs_get_a_name(tmp_path):
    path = list_of_pairs(
        None, tmp_path / 'pairs.csv', ['in/T00.nii.gz,in/T50.nii.gz,,', ',,,'], 'fixed,moving,fixed_lung,moving_torso'
    )
    (pair,) = pair_lists.read_pairs(path)
    assert pair.name == 'T50_to_T00'
    assert pair.files == {'fixed': str(tmp_path / 'in/T00.nii.gz'), 'moving': str(tmp_path / 'in/T50.nii.gz')}


def dicom_series(folder, path, number):
    """Add a scan to a folder as a series of that number."""
    image = sitk.ReadImage(path)
    folder.mkdir(exist_ok=True)
    writer = sitk.ImageFileWriter()
    writer.KeepOriginalImageUIDOn()
    for k in range(image.GetSize()[2]):
        one, place = image[:, :, k], image.TransformIndexToPhysicalPoint((0, 0, k))
        tags = {'0008|0016': '1.2.840.10008.5.1.4.1.1.2', '0008|0018': f'1.2.{number}.{k}', '0008|0060': 'CT'}
        tags.update({'0020|000e': f'1.2.3.{number}', '0020|0011': str(number), '0020|0037': '1\\0\\0\\0\\1\\0'})
        tags.update({'0020|0032': '\\'.join(map(str, place)), '0028|1052': '-1024', '0028|1053': '1'})
        for tag, value in tags.items():
            one.SetMetaData(tag, value)
        writer.SetFileName(str(folder / f'{number}_{k}.dcm'))
        writer.Execute(one)


@pytest.mark.once
def test_series_of_a_dicom_folder_are_chosen_by_options_and_columns(files, tmp_path, caplog):
    for number, name in ((3, 'moving'), (4, 'fixed')):
        image, _ = chest_image(grid_image((66, 60, 62), (1.0,) * 3), number)
        sitk.WriteImage(image, str(tmp_path / (name + '.nii.gz')))
        dicom_series(tmp_path / 'dicom', str(tmp_path / (name + '.nii.gz')), number)
    common = ['--model', files[1], '--affine', 'none', '--threads', '1', '--input_mask', 'none']
    folder = str(tmp_path / 'dicom')
    line = ['--register', folder, folder, '--output', str(tmp_path / 'results')] + common
    assert RunRegNet3D.main(line) == 2 and '2 DICOM series' in caplog.text and '1.2.3.4' in caplog.text
    line += ['--fixed_series', '4', '--moving_series', '1.2.3.3']
    assert RunRegNet3D.main(line) == 0
    found = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / 'results' / 'displacement.mha')))
    assert json.loads((tmp_path / 'results' / 'results.json').read_text())['settings']['series'] == ['4', '1.2.3.3']
    # What was registered as DICOM is moved as DICOM.
    shutil.copytree(folder, str(tmp_path / 'one'), ignore=shutil.ignore_patterns('4_*'))
    moved = [
        [
            '--apply',
            str(tmp_path / 'results'),
            '--image',
            str(tmp_path / name),
            '--output',
            str(tmp_path / (name[0] + '.mha')),
        ]
        for name in ('one', 'moving.nii.gz')
    ]
    assert [RunRegNet3D.main(words) for words in moved] == [0, 0]
    moved = [sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / (name + '.mha')))) for name in 'om']
    np.testing.assert_array_equal(*moved)
    assert [s.GetSize() for s, _ in read_chests(str(tmp_path / 'results'))] == [(66, 60, 62)] * 2
    rows = ['a,dicom,dicom,4,3', 'b,fixed.nii.gz,moving.nii.gz,,']
    path = list_of_pairs(None, tmp_path / 'pairs.csv', rows, 'name,fixed,moving,fixed_series,moving_series')
    assert RunRegNet3D.main(['--pairs', str(path), '--output', str(tmp_path / 'cohort')] + common) == 0
    for name in 'ab':
        field = sitk.ReadImage(str(tmp_path / 'cohort' / name / 'displacement.mha'))
        np.testing.assert_allclose(sitk.GetArrayFromImage(field), found, atol=1e-5)
