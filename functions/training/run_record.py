"""The record of a run beside its settings: code, packages, command line and data."""

import datetime
import os
import platform
import sys

from ..reading.image_items import item_name
from ..setting import setting_utils as su
from ..setting.atomic import write_json
from ..setting.code_version import PACKAGE, code_version, package_versions
from ..setting.experiment_files import SETTINGS_CHECKSUM
from ..setting.text_files import checksum_of, read_text


def write_run_record(setting, goes_on_from=None):
    """Write ``setting<k>.txt`` and ``about<k>.json`` to the model's folder.

    :param goes_on_from: step of the checkpoint from which the run continues, or None.
    :return: address of the JSON file.
    """
    address = su.write_setting(setting)
    items = {mode: su.get_im_info_list_from_train_mode(setting, mode) for mode in ('Training', 'Validation')}
    about = {
        'settings': os.path.basename(address),
        SETTINGS_CHECKSUM: checksum_of(read_text(address)),
        'started': datetime.datetime.now(datetime.timezone.utc).isoformat(timespec='seconds'),
        'command_line': list(sys.argv),
        'goes_on_from': goes_on_from,
        'python': platform.python_version(),
        'system': platform.platform(),
        'packages': package_versions(),
        'code': code_version(PACKAGE),
        'data': {mode: [item_name(item) for item in listed] for mode, listed in items.items()},
    }
    folder, name = os.path.split(address)
    address = os.path.join(folder, name.replace('setting', 'about').replace('.txt', '.json'))
    write_json(address, about)
    return address
