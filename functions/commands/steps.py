"""The steps of a run, in order; what a step needs is loaded when it begins."""

import contextlib
import logging
import os

from ..evaluation import command_line as evaluation_commands
from ..setting import setting_utils as su
from ..setting.errors import InputError, RegNetError
from ..setting.parts import take_part
from ..setting.progress import Progress
from .script_settings import complete_setting, read_changes


def prepare(setting, arguments):
    """Make or convert the images the settings name, and their artificial deformations."""
    from ..artificial_generation.batch import generate_batch
    from ..phantom.phantom import make_cases
    from ..preprocessing.own_images import prepare_own_images

    generate = not setting['never_generate_image']
    if generate:
        prepare_own_images(setting)
        for types, cases in phantom_cases(setting).items():
            make_cases(setting, turned(cases, arguments.part), types, n_workers=arguments.workers)
    su.require_originals(setting)
    if generate:
        part = arguments.part if setting['only_generate_image'] else None
        modes = () if arguments.only == 'register' else ('Training', 'Validation')
        # Trainings on the fly use what is on disk too: many cores may generate for one that trains.
        if modes and setting.get('OnTheFly') and not setting['only_generate_image']:
            modes = ('Validation',)
        for of_batch, stage in batches(setting, modes):
            options = {'n_workers': arguments.workers, 'part': part, 'verify': arguments.verify}
            report = generate_batch(setting, of_batch, stage=stage, **options)
            logging.info('%s', report)
            if report.failed:
                first = ': '.join(report.failed[0])
                raise RegNetError(f'{len(report.failed)} artificial deformation(s) failed; the first: {first}')
    if not setting['only_generate_image']:
        from ..registration.data_set_pairs import check_pairs, settings_of_networks

        check_pairs(setting, testing_pairs(setting), settings_of_networks(setting))


def batches(setting, modes=('Training', 'Validation')):
    """Artificial deformations of a run that needs those of some modes: list of (modes, stage or None for that of the
    settings).
    """
    voxel = setting.get('PassesBefore', {}).get('voxel')
    found = [(modes, voxel)] if su.trains(setting) and modes else []
    # Synthetic pairs are registered at 1 mm, so that is where their deformations are made.
    return found + ([(('Testing',), 1)] if setting['read_pair_mode'] == 'synthetic' else [])


def item_after_passes(setting, opened):
    """What makes training items where networks run before the one to be trained (``PassesBefore``), else None."""
    before = setting.get('PassesBefore', {})
    if not before.get('networks'):
        return None
    from ..artificial_generation.training_item import ItemAfterPasses
    from ..network.description import network_description
    from ..registration.network_pyramid import open_networks
    from ..registration.passes_before import PassesBefore

    entries = {f'stage{stage}': {'NetworkLoad': name} for stage, name in before['networks'].items()}
    how = {'Precision': 'float32', 'Symmetric': before.get('symmetric', False)}
    model = opened.enter_context(open_networks(dict(setting, network_dict=entries, stage_list=before['stages'], **how)))
    errors = network_description(setting['NetworkDesign']).predicts == 'error'
    passes = PassesBefore(model, setting['stage'], before.get('Fewer', 0.0), errors)
    return ItemAfterPasses(passes, before.get('voxel'))


def testing_pairs(setting):
    """The pairs to be registered: [fixed, moving] im_info dictionaries."""
    return su.get_im_info_list_from_train_mode(setting, 'Testing', load_mode='Pair', stage=1)


def phantom_cases(setting):
    """Cases of the phantom that the settings name: dictionary tuple of types -> list of case numbers."""
    images = [image for pair in testing_pairs(setting) for image in pair]
    for mode in ('Training', 'Validation'):
        images += su.get_im_info_list_from_train_mode(setting, mode)
    types_of, cases_of = {}, {}
    for image in images:
        if image['data'] == 'Phantom_4D':
            types_of.setdefault(image['cn'], set()).add(image['type_im'])
    for cn, types in sorted(types_of.items()):
        cases_of.setdefault(tuple(sorted(types)), []).append(cn)
    return cases_of


def turned(cases, part):
    """The cases, from another one in every part: parts that begin together do not all make the same."""
    first = (int(part.split('/')[0]) - 1) % len(cases) if part else 0
    return cases[first:] + cases[:first]


def unregistered(setting, pairs):
    """Those of the testing pairs that have no whole results of the newest networks, by such passes as are wanted."""
    from ..evaluation.experiments import open_experiment

    name, last = setting['current_experiment'], f'stage{setting["stage_list"][-1]}'
    if not pairs or not os.path.isdir(su.address_generator(setting, 'log_folder')):
        return pairs
    entry = setting['network_dict'][last]
    found = open_experiment(setting, name, own_settings=False)
    try:
        step = su.get_global_step(setting, entry.get('GlobalStepLoad', 'Last'), entry['NetworkLoad'])
    except RegNetError:  # nothing is trained yet
        return pairs
    if found.step != step:
        return pairs
    symmetric = su.is_symmetric(setting)
    done = [result.pair for result in found.results if result.symmetric is symmetric]
    return [pair for pair in pairs if pair not in done]


def register_and_measure(setting, pairs, model):
    """Register pairs; print a table and draw a picture of each."""
    from ..evaluation.pair_landmarks import find_landmarks
    from ..evaluation.pair_table import COLUMNS, measure_pair, training_fields
    from ..evaluation.registration_picture import registration_picture
    from ..evaluation.text_table import format_table
    from ..registration.data_set_pairs import register_pair
    from ..setting.atomic import write_json, write_text

    trains = su.trains(setting)
    training = (
        su.get_im_info_list_from_train_mode(setting, 'Training') if trains and not setting.get('OnTheFly') else []
    )
    for pair in Progress(pairs, desc='Pairs', unit='pair'):
        # A network that this run has trained may be hardly trained; its results are shown all the same.
        result = register_pair(setting, pair, model, trained=not trains)
        found, folder = result.registration, result.folder
        fixed = pair[0]
        name = f'{fixed["data"]} case {fixed["cn"]}'
        name += f' deformation {fixed["dsmooth"]}' if 'dsmooth' in fixed else ''
        picture = os.path.join(folder, 'registration.png')
        landmarks, reason = find_landmarks(setting, pair, result.true_dvf, found.lung)
        if landmarks is None:
            logging.warning('No landmark error can be given: %s', reason)
        images = (found.fixed, found.moving, found.moved, found.dvf)
        registration_picture(picture, *images, lung=found.lung, title=name, landmarks=landmarks)
        if landmarks is not None:
            fields = training_fields(setting, training) if training else None
            rows = measure_pair(*landmarks, found.dvf, found.jacobian, found.lung, found.total_seconds, fields)
            table = format_table(rows, ('method', 'n') + COLUMNS, digits={'folding %': 3, 'seconds': 1})
            write_json(os.path.join(folder, 'measures.json'), rows)
            write_text(os.path.join(folder, 'measures.txt'), table)
            title = f'{name}: target registration error at {rows[0]["n"]} landmarks, folding inside the lung'
            print(f'\n{title}\n\n{table}')
        print(f'Results: {folder}\nPicture: {picture}')


def prepare_data(setting, arguments):
    """--prepare: make or convert a data set, then check that its landmarks fit its images."""
    from ..evaluation.landmark_check import check_landmarks, usual_pairs
    from ..image.claim import claim_folder
    from ..image.manifest import require_present

    data, cases = arguments.prepare, arguments.cases
    with claim_folder(setting['DataFolder'], f'.{data}.lock'):
        if data == 'Phantom_4D':
            from ..phantom.phantom import USUAL_CASES, make_cases

            cases = cases or USUAL_CASES
            make_cases(setting, cases, (0, 5), n_workers=arguments.workers)
            manifests = [su.address_generator(setting, 'PhantomManifest', data=data, cn=cn, stage=1) for cn in cases]
        else:
            from ..preprocessing.public_data_sets import prepare_data_set

            report = prepare_data_set(setting, data, arguments.source, cases, arguments.workers)
            cases, manifests = report.cases, report.manifests
        check = check_landmarks(setting, usual_pairs(setting, data, cases))
        print(check.table())
        check.require()
        require_present(manifests)


def evaluate(setting, arguments):
    """--evaluate: experiments and classical references on the same pairs; sets of networks register them first."""
    for name in arguments.evaluate:
        if su.network_set(name):
            used = dict(setting, current_experiment=name)
            known = su.register_only(used, name, error_map=not arguments.no_error_map)
            prepare(known, arguments)
            os.makedirs(su.address_generator(known, 'log_folder'), exist_ok=True)
            register(known, unregistered(known, testing_pairs(known)))
    for text in evaluation_commands.evaluate(setting, arguments):
        print(text)


def report_folders(arguments, result):
    """--report FOLDER: the pages of results that --register, --pairs or --sequence has written."""
    from ..evaluation.cohort_report import cohort_report, is_cohort
    from ..image.worker_pools import choose_backend

    choose_backend(arguments.backend, arguments.scheduler)
    result['pages'] = []
    for folder in arguments.report:
        several = is_cohort(folder)
        if several and arguments.landmarks:
            raise InputError(f'--landmarks goes with the results of one registration; {folder} holds several.')
        if several:
            page = cohort_report(folder, write_page, arguments.protocol, arguments.workers)
        else:
            page = write_page(folder, arguments.landmarks, arguments.protocol)[0]
        result['pages'].append(page)
        print(f'Page: {page}')


def write_page(folder, landmarks, protocol):
    """The page of one folder, as :func:`functions.evaluation.folder_report.folder_report` returns it."""
    from ..evaluation.folder_report import folder_report
    from ..registration.result_folder import read_chests

    return folder_report(folder, read_chests(folder), landmarks, protocol)


def register(setting, pairs, part=None):
    """Register pairs with the networks the settings name; ``part``: which part of all they are."""
    from ..image.claim import claim_folder, part_lock
    from ..registration.network_pyramid import open_networks

    if not pairs:
        return
    folder = su.address_generator(setting, 'result_folder')
    with claim_folder(folder, part_lock(part)), open_networks(setting) as model:
        register_and_measure(setting, pairs, model)


def checked_setting(script, arguments):
    """The settings of a command line, checked."""
    changes = read_changes(arguments.setting)
    setting = complete_setting(script, arguments, changes)
    if arguments.model:
        if not (arguments.experiment or 'current_experiment' in changes):
            setting['current_experiment'] = os.path.basename(os.path.normpath(arguments.model[0]))
        setting = su.register_only(setting, arguments.model, arguments.stages, not arguments.no_error_map)
    su.check_setting(setting)
    return setting


def run(script, arguments, result):
    """The steps, in order; finished images, deformations and trainings are not made again.

    :param result: dictionary that gets ``experiment``, the folder of the checkpoints and results.
    """
    from ..image.claim import claim_folder
    from ..image.worker_pools import choose_backend

    setting = checked_setting(script, arguments)
    choose_backend(setting.get('cluster_backend'), setting.get('cluster_scheduler'))
    result['experiment'] = su.address_generator(setting, 'log_folder')
    results = os.path.realpath(su.address_generator(setting, 'result_folder'))
    if arguments.setting and os.path.realpath(arguments.setting).startswith(results + os.sep):
        raise InputError(f'{arguments.setting} lies among the results, which are written anew; copy it elsewhere.')
    if arguments.prepare:
        return prepare_data(setting, arguments)
    if arguments.evaluate:
        return evaluate(setting, arguments)
    is_trained = su.trains(setting) and arguments.only != 'register'
    if is_trained and not setting['only_generate_image']:
        with claim_folder(su.address_generator(setting, 'ModelFolder')):
            pass  # refused now rather than after the images are made
    prepare(setting, arguments)
    if setting['only_generate_image']:
        return None
    if is_trained:
        from ..training.trainer import train

        with contextlib.ExitStack() as opened:
            make_item = item_after_passes(setting, opened)
            trained = train(setting, not arguments.fresh, setting['NumberOfThreads'], make_item)
        folder = su.address_generator(setting, 'ModelFolder')
        logging.info('Trained %d iterations in %.0f s; checkpoints in %s', trained.iteration, trained.seconds, folder)
    elif not su.saved_steps(setting):
        su.write_setting(setting)  # where --evaluate looks for the pairs; a trained experiment keeps its own settings
    if arguments.only == 'train':
        return None
    pairs = testing_pairs(setting)
    if not pairs:
        logging.warning('The settings name no testing pair (TestingCNList and TestingPairList): nothing is registered.')
    if arguments.only == 'register':
        waiting = unregistered(setting, pairs)
        pairs = [pair for pair in take_part(pairs, arguments.part) if pair in waiting]
    return register(setting, pairs, arguments.part)
