"""The placeholders of address patterns: what each becomes for the arguments of an ``address_generator`` call.

A new placeholder is one line of ``_PLACEHOLDERS``.
"""

import string

from functions.setting import schema
from functions.setting.artificial_generation_setting import deform_method_and_number, get_deform_exp
from functions.setting.data_sets import get_data_set
from functions.setting.errors import InputError, UnknownNameError, unknown_name

LOG_FOLDER, DATA_FOLDER = 'Experiments/', 'Data/'

#: Global step of published experiments, for ``step`` left out.
KNOWN_STEPS = {'20180124_max20_2M': '1155015'}


def known_step(current_experiment):
    """The step a published experiment is used at, as text; '0' where unknown."""
    return KNOWN_STEPS.get(current_experiment, '0')


def _require(value, what, request_hint):
    if value is None:
        raise InputError(f'This address needs {what}: {request_hint}.')
    return value


class Arguments:
    """Arguments of one call with their defaults, and the values of placeholders on demand."""

    def __init__(self, setting, given):
        self.setting = setting
        self.given = given
        self.experiment = self.given_or_set('current_experiment', 'current_experiment') or ''
        self.stage = self.given_or_set('stage', 'stage')
        self._record = None

    def __getitem__(self, name):
        if name not in _PLACEHOLDERS:
            raise InputError(
                '{{{}}} is not a placeholder of address patterns; accepted: {}.'.format(
                    name, ', '.join(PLACEHOLDER_NAMES)
                )
            )
        return _PLACEHOLDERS[name](self)

    @property
    def data(self):
        """The data set: as given, else the first of the setting."""
        given = self.given['data']
        return given if given is not None else _first(self.setting, 'DataList', 'data')

    def given_or_set(self, argument, key):
        """An argument, or when it is left out the setting ``key``, or None."""
        given = self.given[argument]
        return given if given is not None else self.setting.get(key)

    @property
    def record(self):
        """Its record."""
        if self._record is None:
            self._record = get_data_set(self.data, self.setting)
        return self._record

    @property
    def deform_exp(self):
        """The deformation experiment: as given, else the first of the setting, else ''."""
        if self.given['deform_exp'] is not None:
            return self.given['deform_exp']
        names = self.setting.get('DeformExpList')
        return names[0] if names else ''

    @property
    def deform_content(self):
        """Content of the deformation experiment."""
        return get_deform_exp(self.setting, self.deform_exp)

    @property
    def dsmooth(self):
        """Deformation number, checked."""
        return _whole_number('dsmooth', self.given['dsmooth'], 0)

    def image_type(self, type_im):
        """Name of type ``type_im`` of the data set."""
        types = self.record.types
        if not _is_whole(type_im) or not 0 <= type_im < len(types):
            raise InputError(
                'type_im {!r} does not exist in data set {}; accepted: {}.'.format(
                    type_im, self.data, ', '.join(f'{i} ({name})' for i, name in enumerate(types))
                )
            )
        return types[type_im]

    def pair(self, position, key):
        """``key`` of the fixed (0) or moving (1) entry of ``pair_info``."""
        pair = self.given['pair_info']
        if pair is None or len(pair) != 2:
            raise InputError(
                'This address needs pair_info: [fixed, moving], two dictionaries with data, cn, type_im (and spacing).'
            )
        if key not in pair[position]:
            raise InputError(
                'pair_info[{}] has no {!r}; it has {}.'.format(
                    position, key, ', '.join(sorted(pair[position])) or 'nothing'
                )
            )
        return pair[position][key]

    def root(self, key, folder):
        """The experiment or data root, moved along when ``root_folder`` is given and the root lies below the
        setting's."""
        own, root, given = self.setting.get(key), self.setting.get('RootFolder'), self.given['root_folder']
        if given is None:
            return _require(own, f'the setting {key!r}', 'call initialize_setting first')
        given = _slash(given)
        if own is None or own == root + folder:
            return given + folder
        return own

    def class_bound(self, offset):
        """Lower (0) or upper (1) bound of magnitude class ``c`` [mm]."""
        bounds = [0.0] + list(
            _require(self.setting.get('ClassBalanced'), "the setting 'ClassBalanced'", 'for example [1.5, 8, 20]')
        )
        position = _whole_number('c', self.given['c'], 0) + offset
        if position >= len(bounds):
            raise InputError(
                'Class c = {} does not exist; ClassBalanced {} has {} classes, from 0.'.format(
                    self.given['c'], bounds[1:], len(bounds) - 1
                )
            )
        return float(bounds[position])


def _is_whole(value):
    # NumPy integers have __index__ too; booleans are no numbers here.
    return hasattr(value, '__index__') and not isinstance(value, bool)


def _whole_number(name, value, least):
    if not _is_whole(value) or value < least:
        raise UnknownNameError(f'{name} must be a whole number from {least}; got {value!r}.')
    return value


def _first(setting, key, argument):
    values = setting.get(key)
    if not values:
        raise InputError(
            f'Neither the argument {argument!r} nor the setting {key!r} says which one; call '
            'load_setting_from_data_dict first.'
        )
    return values[0]


def _slash(folder):
    return folder if folder.endswith('/') else folder + '/'


def _patient(arguments):
    patients = arguments.setting.get('SPREAD_Patients') or arguments.record.patients
    cn = _whole_number('cn', arguments.given['cn'], 1)
    if cn > len(patients):
        raise InputError(
            f'Case {cn} of {arguments.data} has no patient code; the setting SPREAD_Patients lists {len(patients)}.'
        )
    return patients[cn - 1]


def _experiment_parts(experiment):
    """Folder and name of an experiment: 'Sub/Name' -> ('Sub', 'Name'); 'Name' -> ('RegNet', 'Name')."""
    parts = experiment.split('/')
    if not experiment or any(part in ('', '.', '..') for part in parts):
        raise InputError(
            f"current_experiment must be a name or Sub/Name without empty, '.' or '..' parts; got {experiment!r}."
        )
    return (parts[0], '/'.join(parts[1:])) if len(parts) > 1 else ('RegNet', experiment)


def _dvf_pad(arguments):
    return arguments.given_or_set('dvf_pad', f'DVFPad_S{arguments.stage}')


def _stages(arguments):
    stages = _require(
        arguments.given_or_set('stage_list', 'stage_list'), 'stage_list', 'the pyramid, for example [4, 2, 1]'
    )
    return ''.join(f'S{stage}_' for stage in stages)


def _read_pair_mode(arguments):
    mode = arguments.setting.get('read_pair_mode') or 'real'
    if mode not in ('real', 'synthetic'):
        raise unknown_name('read_pair_mode', mode, ['real', 'synthetic'])
    return f'{arguments.data}/{arguments.deform_exp}/' if mode == 'synthetic' else ''


def _image_extension(arguments):
    extension = arguments.given['deformed_im_ext']
    if extension is None:
        return ''
    return '_' + (extension if isinstance(extension, str) else '_'.join(extension))


def _data_exps(arguments):
    entries = _require(
        arguments.setting.get('DataExpDict'), "the setting 'DataExpDict'", 'call load_setting_from_data_dict first'
    )
    return '_'.join('{}_{}'.format(entry['data'], entry.get('deform_exp', '')) for entry in entries)


def _generation_root(arguments, end):
    name = f'{arguments.deform_exp}/{arguments.data}/'
    if arguments.given['print_mode']:
        # Logged names of Next images have had a doubled slash from the beginning; it is kept.
        return name + end
    return '{}Elastix/Artificial_Generation/{}'.format(arguments['root'], name)


def _pair_name(arguments, position, spacing):
    name = '{}_cn{}_type_im{}'.format(*(arguments.pair(position, key) for key in ('data', 'cn', 'type_im')))
    return name + '_{}'.format(arguments.pair(position, 'spacing')) if spacing else name


def _landmark_count(arguments):
    # The 300 points are marked in the extreme phases only, the 75 in all six exhale phases.
    return '300' if {arguments.pair(0, 'type_im'), arguments.pair(1, 'type_im')} == {0, 5} else '4D-75'


def _method(arguments, part):
    return deform_method_and_number(arguments.deform_content['DeformMethods'], arguments.dsmooth)[part]


def _stage(arguments):
    stage = arguments.stage
    # 4.0 would make another address than 4.
    if not _is_whole(stage):
        raise schema.stage_error(stage)
    return stage


#: placeholder -> its value for the arguments of a call.
_PLACEHOLDERS = {
    'root': lambda x: x.root('RootFolder', ''),
    'log_root': lambda x: x.root('log_root_folder', LOG_FOLDER),
    'data_root': lambda x: x.root('DataFolder', DATA_FOLDER),
    'data': lambda x: x.data,
    'deform_exp': lambda x: x.deform_exp,
    'ext': lambda x: x.record.ext,
    'cn': lambda x: _whole_number('cn', x.given['cn'], 1),
    'p': lambda x: '{}{}'.format(x.record.expPrefix, x['cn']),
    'type': lambda x: x.image_type(x.given['type_im']),
    'type3': lambda x: x['type'][:3],
    'patient': _patient,
    'patient4': lambda x: _patient(x)[:4],
    'K': _landmark_count,
    'stage': _stage,
    'S': lambda x: f'_s{x.stage}' if _stage(x) > 1 else '',
    'P': lambda x: '' if x.given['padto'] is None else '_p{}'.format(x.given['padto']),
    'dsmooth': lambda x: x.dsmooth,
    'method': lambda x: _method(x, 0),
    'num': lambda x: _method(x, 1),
    'AG': lambda x: _generation_root(x, ''),
    'AG_next': lambda x: _generation_root(x, '/'),
    'im_ext': _image_extension,
    'dvf_pad': _dvf_pad,
    'thresholds': lambda x: ''.join(f'_{t}' for t in x.given['dvf_threshold_list'] or []),
    'canny_lower': lambda x: x.deform_content['Canny_LowerThreshold'],
    'canny_upper': lambda x: x.deform_content['Canny_UpperThreshold'],
    'data_exps': _data_exps,
    'train_mode': lambda x: x.given['train_mode'],
    'n_images': lambda x: len(_require(x.given['im_list_info'], 'im_list_info', 'the list of items')),
    'ishuffled_exp': lambda x: x.given['ishuffled_exp'],
    'semi_epoch': lambda x: x.given['semi_epoch'],
    'chunk': lambda x: x.given['chunk'],
    'Margin': lambda x: _require(x.setting.get('Margin'), "the setting 'Margin'", 'call load_network_setting first'),
    'torso': lambda x: int(bool(x.setting.get('UseTorsoMask'))),
    'lo': lambda x: x.class_bound(0),
    'hi': lambda x: x.class_bound(1),
    'sub': lambda x: _experiment_parts(x.experiment)[0],
    'exp': lambda x: _experiment_parts(x.experiment)[1],
    'exp_name': lambda x: x['exp'].split('/')[-1],
    'step': lambda x: known_step(x.experiment) if x.given['step'] is None else x.given['step'],
    'plot_mode': lambda x: x.given['plot_mode'],
    'plot_itr': lambda x: x.given['plot_itr'],
    'plot_i': lambda x: x.given['plot_i'],
    'base_reg': lambda x: x.given_or_set('base_reg', 'BaseReg') or '',
    'bspline_folder': lambda x: _require(
        x.given_or_set('bspline_folder', 'Reg_BSpline_Folder'),
        "bspline_folder or the setting 'Reg_BSpline_Folder'",
        'for example S4_S2_S1',
    ),
    'mode': _read_pair_mode,
    'stages': _stages,
    'a': lambda x: _pair_name(x, 0, spacing=False),
    'b': lambda x: _pair_name(x, 1, spacing=False),
    'as': lambda x: _pair_name(x, 0, spacing=True),
    'bs': lambda x: _pair_name(x, 1, spacing=True),
    't0': lambda x: x.pair(0, 'type_im'),
    't1': lambda x: x.pair(1, 'type_im'),
    'data_fixed': lambda x: x.pair(0, 'data'),
    'p_fixed': lambda x: '{}{}'.format(x.record.expPrefix, x.pair(0, 'cn')),
    'type_fixed': lambda x: x.image_type(x.pair(0, 'type_im')),
    'type_moving': lambda x: x.image_type(x.pair(1, 'type_im')),
}

#: Names a pattern may use.
PLACEHOLDER_NAMES = tuple(sorted(_PLACEHOLDERS))


def pattern_problem(pattern):
    """What is wrong with a pattern of the user's own, as a sentence; None when it is fine."""
    if not isinstance(pattern, str):
        return f'a pattern must be text, got {pattern!r}'
    try:
        fields = [field for _, field, _, _ in string.Formatter().parse(pattern) if field is not None]
    except ValueError as error:
        return f'pattern {pattern!r}: {error}'
    unknown = [field for field in fields if field not in _PLACEHOLDERS]
    if unknown:
        return 'pattern {!r}: {{{}}} is not a placeholder; accepted: {}'.format(
            pattern, unknown[0], ', '.join(PLACEHOLDER_NAMES)
        )
    return None
