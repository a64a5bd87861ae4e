"""The commands: the options and steps of ``RunRegNet3D.py``, and ``regnet`` with its subcommands."""
