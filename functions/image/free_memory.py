"""How much memory this process may still take."""

import psutil


def available_memory():
    """Bytes this process may still take: the smaller of the machine's and its control group's."""
    candidates = [
        psutil.virtual_memory().available,
        _control_group('/sys/fs/cgroup/memory.max', '/sys/fs/cgroup/memory.current'),
        _control_group('/sys/fs/cgroup/memory/memory.limit_in_bytes', '/sys/fs/cgroup/memory/memory.usage_in_bytes'),
    ]
    return min(value for value in candidates if value is not None)


def _control_group(limit_file, usage_file):
    try:
        with open(limit_file, 'rb') as limit, open(usage_file, 'rb') as usage:
            return max(0, int(limit.read()) - int(usage.read()))
    except (OSError, ValueError):
        # No such file, or the word 'max': not limited.
        return None
