"""RegNet: one-shot nonrigid 3D registration of chest CT, room by room (docs/figures.md, architecture).

Installed, this folder is the package ``regnet``.
"""

#: The version; pyproject.toml reads it here.
__version__ = '1.0.0'
