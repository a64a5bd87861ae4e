"""The record of a run beside its settings: code, packages, command line and data."""

import datetime
import hashlib
import os
import platform
import subprocess
import sys

from functions.reading.image_items import item_name
from functions.setting import setting_utils as su
from functions.setting.atomic import write_json
from functions.tf_utils import backend

_REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
_PACKAGES = ('numpy', 'scipy', 'SimpleITK', 'matplotlib', 'tqdm')


def write_run_record(setting, goes_on_from=None):
    """Write ``setting<k>.txt`` and ``about<k>.json`` to the model's folder.

    :param goes_on_from: step of the checkpoint from which the run continues, or None.
    :return: address of the JSON file.
    """
    address = su.write_setting(setting)
    about = {
        'settings': os.path.basename(address),
        'started': datetime.datetime.now(datetime.timezone.utc).isoformat(timespec='seconds'),
        'command_line': list(sys.argv),
        'goes_on_from': goes_on_from,
        'python': platform.python_version(),
        'system': platform.platform(),
        'packages': package_versions(),
        'code': code_version(_REPOSITORY),
        'data': {
            mode: [item_name(item) for item in su.get_im_info_list_from_train_mode(setting, mode)]
            for mode in ('Training', 'Validation')
        },
    }
    name = os.path.basename(address).replace('setting', 'about').replace('.txt', '.json')
    address = os.path.join(os.path.dirname(address), name)
    write_json(address, about)
    return address


def package_versions():
    """Name -> version of the loaded packages that can influence results."""
    versions = {name: getattr(sys.modules[name], '__version__', None) for name in _PACKAGES if name in sys.modules}
    return dict(versions, tensorflow=backend.version())


def code_version(folder):
    """The version of the code: {'commit', 'changed', 'checksum'}.

    ``commit`` is git's, None outside a repository; ``changed`` says whether tracked files differ from it;
    ``checksum`` is of all Python files below ``functions/`` and holds without git.
    """
    commit = _git(folder, 'rev-parse', 'HEAD')
    changed = None if commit is None else bool(_git(folder, 'status', '--porcelain', '--untracked-files=no'))
    digest = hashlib.blake2b(digest_size=16)
    for path, _, names in sorted(os.walk(os.path.join(folder, 'functions'))):
        for name in sorted(name for name in names if name.endswith('.py')):
            file_name = os.path.join(path, name)
            digest.update(os.path.relpath(file_name, folder).replace(os.sep, '/').encode())
            with open(file_name, 'rb') as stream:
                digest.update(stream.read())
    return {'commit': commit, 'changed': changed, 'checksum': digest.hexdigest()}


def _git(folder, *words):
    """The output of git, or None without git, repository or answer."""
    command = ('git', '-C', folder) + words
    try:
        return subprocess.check_output(command, stderr=subprocess.DEVNULL, timeout=30).decode().strip()
    except (OSError, subprocess.SubprocessError):
        return None
