"""RegNet: one-shot nonrigid 3D registration of chest CT, room by room (see the README's architecture section).

Installed, this folder is the package ``regnet``.
"""

#: The version; pyproject.toml reads it here.
__version__ = '1.0.0'
