"""The fields of address patterns and their values for a call of ``address_generator``; a new field is one line."""

import string

from . import kinds, schema
from .artificial_generation_setting import deform_method_and_number, get_deform_exp
from .data_sets import get_data_set
from .errors import InputError, UnknownNameError, require_known

LOG_FOLDER, DATA_FOLDER = 'Experiments/', 'Data/'

#: Global step of published experiments, used when ``step`` is left out.
KNOWN_STEPS = {'20180124_max20_2M': '1155015'}


def _require(value, what, hint):
    if value is None:
        raise InputError(f'This address needs {what}: {hint}.')
    return value


class AddressFields:
    """The arguments of one call, completed from the setting; ``fields[name]`` is the value of a field."""

    def __init__(self, setting, given):
        self.setting = setting
        self.given = given
        self.experiment = self.given_or_set('current_experiment', 'current_experiment') or ''
        self.stage = self.given_or_set('stage', 'stage')
        self._record = None

    def __getitem__(self, name):
        if name not in _FIELDS:
            raise InputError(f'{{{name}}} is not a field of address patterns; accepted: {", ".join(FIELD_NAMES)}.')
        value = _FIELDS[name](self)
        if isinstance(value, str) and name not in _OF_SEVERAL_PARTS:
            # Nothing leaves its folder, whatever was not checked before.
            kinds.PART.require(f'{{{name}}} of an address', value)
        return value

    @property
    def data(self):
        """The data set: as given, else the first of the setting."""
        names = self.setting.get('DataList') if self.given['data'] is None else [self.given['data']]
        return _require(names or None, 'data or the setting DataList', 'call load_setting_from_data_dict first')[0]

    def given_or_set(self, argument, key):
        """An argument or, when it is left out, the setting ``key``, or None."""
        given = self.given[argument]
        return given if given is not None else self.setting.get(key)

    @property
    def record(self):
        """Record of the data set."""
        if self._record is None:
            self._record = get_data_set(self.data, self.setting)
        return self._record

    @property
    def deform_exp(self):
        """The deformation experiment: as given, else the first of the setting, else ''."""
        given = self.given['deform_exp']
        return given if given is not None else (self.setting.get('DeformExpList') or [''])[0]

    def deform_value(self, key):
        """Value of ``key`` in the deformation experiment."""
        return get_deform_exp(self.setting, self.deform_exp)[key]

    def whole(self, argument, least=0):
        """A whole number given as ``argument``."""
        value = self.given[argument]
        if not kinds.whole(least).accepts(value):
            raise UnknownNameError(f'{argument} must be a whole number from {least}; got {value!r}.')
        return value

    def pair(self, position, key):
        """``key`` of the fixed (0) or moving (1) entry of ``pair_info``."""
        pair = self.given['pair_info']
        if pair is None or len(pair) != 2:
            entries = 'two dictionaries with data, cn, type_im (and spacing)'
            raise InputError(f'This address needs pair_info: [fixed, moving], {entries}.')
        if key not in pair[position]:
            there = ', '.join(sorted(pair[position])) or 'nothing'
            raise InputError(f'pair_info[{position}] has no {key!r}; it has {there}.')
        return pair[position][key]

    def root(self, key, folder):
        """The root ``key``; below ``root_folder`` when that is given and the setting has it below its RootFolder."""
        own, root, given = self.setting.get(key), self.setting.get('RootFolder'), self.given['root_folder']
        if given is None:
            return _require(own, f'the setting {key!r}', 'call initialize_setting first')
        if own is None or own == root + folder:
            return given + ('' if given.endswith('/') else '/') + folder
        return own

    def class_bound(self, offset):
        """Lower (0) or upper (1) bound of magnitude class ``c`` [mm]."""
        bounds = _require(self.setting.get('ClassBalanced'), "the setting 'ClassBalanced'", 'for example [1.5, 8, 20]')
        c = self.whole('c')
        if c + offset > len(bounds):
            raise InputError(f'Class c = {c} does not exist; ClassBalanced {list(bounds)} has {len(bounds)} classes.')
        return float(([0] + list(bounds))[c + offset])


def _patient(fields):
    patients = fields.setting.get('SPREAD_Patients') or fields.record.patients
    cn = fields['cn']
    if cn > len(patients):
        raise InputError(f'Case {cn} of {fields.data} has no patient code; SPREAD_Patients lists {len(patients)}.')
    return patients[cn - 1]


def _experiment_parts(experiment):
    """Folder and name of an experiment: 'Sub/Name' -> ('Sub', 'Name'); 'Name' -> ('RegNet', 'Name')."""
    parts = kinds.EXPERIMENT.require('current_experiment', experiment).split('/')
    return (parts[0], '/'.join(parts[1:])) if len(parts) > 1 else ('RegNet', experiment)


def _pyramid(fields):
    stages = fields.given_or_set('stage_list', 'stage_list')
    return ''.join(f'S{stage}_' for stage in _require(stages, 'stage_list', 'the pyramid, for example [4, 2, 1]'))


def _bspline_folder(fields):
    folder = fields.given_or_set('bspline_folder', 'Reg_BSpline_Folder')
    return _require(folder, "bspline_folder or the setting 'Reg_BSpline_Folder'", 'for example S4_S2_S1')


def _read_pair_mode(fields):
    mode = fields.setting.get('read_pair_mode') or 'real'
    require_known('read_pair_mode', mode, schema.PAIR_MODE.names)
    return f'{fields["data"]}/{fields["deform_exp"]}/' if mode == 'synthetic' else ''


def _image_extension(fields):
    extension = fields.given['deformed_im_ext']
    text = extension if extension is None or isinstance(extension, str) else '_'.join(extension)
    return '' if text is None else f'_{text}'


def _data_exps(fields):
    entries = fields.setting.get('DataExpDict')
    _require(entries, "the setting 'DataExpDict'", 'call load_setting_from_data_dict first')
    return '_'.join(f'{entry["data"]}_{entry.get("deform_exp", "")}' for entry in entries)


def _generation_root(fields, end):
    name = f'{fields["deform_exp"]}/{fields["data"]}/'
    if fields.given['print_mode']:
        # The logged names of Next images have always had a double slash.
        return name + end
    return f'{fields["root"]}Elastix/Artificial_Generation/{name}'


def _pair_name(fields, position, spacing):
    data, cn, type_im = (fields.pair(position, key) for key in ('data', 'cn', 'type_im'))
    name = f'{data}_cn{cn}_type_im{type_im}'
    return f'{name}_{fields.pair(position, "spacing")}' if spacing else name


def _landmark_count(fields):
    # The 300 points are marked in the extreme phases only, the 75 in all six exhale phases.
    return '300' if {fields.pair(0, 'type_im'), fields.pair(1, 'type_im')} == {0, 5} else '4D-75'


def _method(fields, part):
    return deform_method_and_number(fields.deform_value('DeformMethods'), fields['dsmooth'])[part]


def _stage(fields):
    # 4.0 would give another address than 4. Published addresses exist for stage 3 as well.
    if not kinds.whole().accepts(fields.stage):
        raise InputError(schema.STAGE.problem('stage', fields.stage))
    return fields.stage


_AS_GIVEN = ('train_mode', 'ishuffled_exp', 'semi_epoch', 'chunk', 'plot_mode', 'plot_itr', 'plot_i')
#: Field -> its value for the arguments of a call.
_FIELDS = {
    **{name: lambda x, name=name: x.given[name] for name in _AS_GIVEN},
    'root': lambda x: x.root('RootFolder', ''),
    'log_root': lambda x: x.root('log_root_folder', LOG_FOLDER),
    'data_root': lambda x: x.root('DataFolder', DATA_FOLDER),
    'data': lambda x: x.data,
    'deform_exp': lambda x: x.deform_exp,
    'ext': lambda x: x.record.ext,
    'cn': lambda x: x.whole('cn', 1),
    'p': lambda x: f'{x.record.expPrefix}{x["cn"]}',
    'type': lambda x: x.record.type_name(x.given['type_im']),
    'type3': lambda x: x['type'][:3],
    'patient': _patient,
    'patient4': lambda x: _patient(x)[:4],
    'K': _landmark_count,
    'stage': _stage,
    'S': lambda x: f'_s{x.stage}' if _stage(x) > 1 else '',
    'P': lambda x: '' if x.given['padto'] is None else f'_p{x.given["padto"]}',
    'dsmooth': lambda x: x.whole('dsmooth'),
    'method': lambda x: _method(x, 0),
    'num': lambda x: _method(x, 1),
    'AG': lambda x: _generation_root(x, ''),
    'AG_next': lambda x: _generation_root(x, '/'),
    'im_ext': _image_extension,
    'dvf_pad': lambda x: x.given_or_set('dvf_pad', f'DVFPad_S{x.stage}'),
    'thresholds': lambda x: ''.join(f'_{t}' for t in x.given['dvf_threshold_list'] or []),
    'canny_lower': lambda x: x.deform_value('Canny_LowerThreshold'),
    'canny_upper': lambda x: x.deform_value('Canny_UpperThreshold'),
    'data_exps': _data_exps,
    'n_images': lambda x: len(_require(x.given['im_list_info'], 'im_list_info', 'the list of items')),
    'Margin': lambda x: _require(x.setting.get('Margin'), "the setting 'Margin'", 'call load_network_setting first'),
    'torso': lambda x: int(bool(x.setting.get('UseTorsoMask'))),
    'lo': lambda x: x.class_bound(0),
    'hi': lambda x: x.class_bound(1),
    'sub': lambda x: _experiment_parts(x.experiment)[0],
    'exp': lambda x: _experiment_parts(x.experiment)[1],
    'exp_name': lambda x: x['exp'].split('/')[-1],
    'step': lambda x: KNOWN_STEPS.get(x.experiment, '0') if x.given['step'] is None else x.given['step'],
    'base_reg': lambda x: x.given_or_set('base_reg', 'BaseReg') or '',
    'bspline_folder': _bspline_folder,
    'mode': _read_pair_mode,
    'stages': _pyramid,
    'a': lambda x: _pair_name(x, 0, spacing=False),
    'b': lambda x: _pair_name(x, 1, spacing=False),
    'as': lambda x: _pair_name(x, 0, spacing=True),
    'bs': lambda x: _pair_name(x, 1, spacing=True),
    't0': lambda x: x.pair(0, 'type_im'),
    't1': lambda x: x.pair(1, 'type_im'),
    'data_fixed': lambda x: x.pair(0, 'data'),
    'p_fixed': lambda x: f'{x.record.expPrefix}{x.pair(0, "cn")}',
    'type_fixed': lambda x: x.record.type_name(x.pair(0, 'type_im')),
    'type_moving': lambda x: x.record.type_name(x.pair(1, 'type_im')),
}

#: Folders, and what is put together from other fields.
_OF_SEVERAL_PARTS = ('root', 'log_root', 'data_root', 'AG', 'AG_next', 'mode', 'sub', 'exp')

#: Names a pattern may use.
FIELD_NAMES = tuple(sorted(_FIELDS))


def pattern_problem(pattern):
    """What is wrong with a user's pattern, as a sentence; None when it is fine."""
    if not kinds.PATTERN.accepts(pattern):
        return kinds.PATTERN.problem('the pattern', pattern).rstrip('.')
    try:
        for _, field, _, _ in string.Formatter().parse(pattern):
            if field not in _FIELDS and field is not None:
                return f'pattern {pattern!r}: {{{field}}} is not a field; accepted: {", ".join(FIELD_NAMES)}'
    except ValueError as error:
        return f'pattern {pattern!r}: {error}'
    return None
