"""What a record says about the code: its commit and checksum, and the packages it ran with."""

import functools
import hashlib
import os
import subprocess
import sys

REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
_PACKAGES = ('numpy', 'scipy', 'SimpleITK', 'h5py', 'matplotlib', 'tqdm', 'tensorflow')


def package_versions():
    """Name -> version of the loaded packages that can influence results."""
    return {name: getattr(sys.modules[name], '__version__', None) for name in _PACKAGES if name in sys.modules}


def code_version(folder):
    """The version of the code: {'commit', 'changed', 'checksum'}.

    ``commit`` is git's, None outside a repository; ``changed`` says whether tracked files differ from it;
    ``checksum`` is of all Python files below ``functions/`` and needs no git.
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


@functools.lru_cache(maxsize=1)
def own_commit():
    """The commit of this code when the process first asked; None without git or outside a repository."""
    return _git(REPOSITORY, 'rev-parse', 'HEAD')


def _git(folder, *words):
    """The output of git, or None without git, repository or answer."""
    command = ('git', '-C', folder) + words
    try:
        return subprocess.check_output(command, stderr=subprocess.DEVNULL, timeout=30).decode().strip()
    except (OSError, subprocess.SubprocessError):
        return None
