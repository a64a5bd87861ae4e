"""How much memory this process may still take."""


def available_memory():
    """Bytes this process may still take: the smaller of the machine's and its control group's; None when
    unknown.
    """
    candidates = [
        _machine(),
        _control_group('/sys/fs/cgroup/memory.max', '/sys/fs/cgroup/memory.current'),
        _control_group('/sys/fs/cgroup/memory/memory.limit_in_bytes', '/sys/fs/cgroup/memory/memory.usage_in_bytes'),
    ]
    candidates = [value for value in candidates if value is not None]
    return min(candidates) if candidates else None


def _machine():
    try:
        with open('/proc/meminfo') as stream:
            for line in stream:
                if line.startswith('MemAvailable:'):
                    return int(line.split()[1]) * 1024
    except (OSError, ValueError, IndexError):
        return None
    return None


def _control_group(limit_file, usage_file):
    try:
        with open(limit_file) as limit, open(usage_file) as usage:
            return max(0, int(limit.read()) - int(usage.read()))
    except (OSError, ValueError):
        # No such file, or the word 'max': not limited.
        return None
