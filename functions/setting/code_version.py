"""Where this code and what comes with it lie, and what a record says about it: version, commit, checksum, packages."""

import functools
import glob
import hashlib
import os
import subprocess
import sys

from .. import __version__

#: The folder of all rooms: ``functions/`` of the repository, or ``regnet/`` where it is installed.
PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
#: The folder from which the package can be imported: the repository, or where packages are installed.
BESIDE = os.path.dirname(PACKAGE)
INSTALLED = os.path.isdir(os.path.join(PACKAGE, 'shipped'))
#: The repository, or what is installed of it beside the code: Experiments/, Elastix/, RunRegNet3D.py.
REPOSITORY = os.path.join(PACKAGE, 'shipped') if INSTALLED else BESIDE
_PACKAGES = ('numpy', 'scipy', 'SimpleITK', 'h5py', 'matplotlib', 'tqdm', 'tensorflow')


def package_versions():
    """Name -> version of the loaded packages that can influence results."""
    return {name: getattr(sys.modules[name], '__version__', None) for name in _PACKAGES if name in sys.modules}


def code_version(package):
    """The version of the code: {'version', 'commit', 'changed', 'checksum'}.

    ``commit`` is git's, None outside a repository; ``changed`` says whether tracked files differ from it;
    ``checksum`` is of all Python files of the package, wherever it lies, and needs no git.
    """
    commit = _git(package, 'rev-parse', 'HEAD')
    changed = None if commit is None else bool(_git(package, 'status', '--porcelain', '--untracked-files=no'))
    digest = hashlib.blake2b(digest_size=16)
    found = glob.glob(os.path.join(package, '**', '*.py'), recursive=True)
    names = {os.path.relpath(path, package).replace(os.sep, '/'): path for path in found}
    for name in sorted(name for name in names if not name.startswith('shipped/')):
        digest.update(f'functions/{name}'.encode())
        with open(names[name], 'rb') as stream:
            digest.update(stream.read())
    return {'version': __version__, 'commit': commit, 'changed': changed, 'checksum': digest.hexdigest()}


@functools.lru_cache(maxsize=1)
def own_commit():
    """The commit of this code when the process first asked; None without git or outside a repository."""
    return _git(PACKAGE, 'rev-parse', 'HEAD')


def _git(folder, *words):
    """The output of git, or None without git, repository or answer. What is installed lies in no repository of ours."""
    if INSTALLED:
        return None
    command = ('git', '-C', folder) + words
    try:
        return subprocess.check_output(command, stderr=subprocess.DEVNULL, timeout=30).decode().strip()
    except (OSError, subprocess.SubprocessError):
        return None
