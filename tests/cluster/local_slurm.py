"""A SLURM of its own on the loopback address: two logical nodes, one partition, everything in one folder."""

import os
import shutil
import signal
import socket
import subprocess
import time

PROGRAMS = ('sbatch', 'squeue', 'scontrol', 'slurmctld', 'slurmd', 'munged')
CONFIGURATION = """\
ClusterName=tests
SlurmctldHost={host}(127.0.0.1)
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=5
CryptoType=crypto/munge
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SlurmctldPort={ports[0]}
SlurmUser=root
SlurmdUser=root
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool_%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd_%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd_%n.log
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=sched_interval=1,batch_sched_delay=0,bf_interval=1
JobRequeue=1
KillWait=2
MinJobAge=600
ReturnToService=2
NodeName=one NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[1]} CPUs=2 RealMemory=4000
NodeName=two NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[2]} CPUs=2 RealMemory=4000
PartitionName=short Nodes=ALL Default=YES MaxTime=60 State=UP
"""


def missing():
    """Why there can be no SLURM here; '' if there can."""
    path = os.environ['PATH'] + os.pathsep + '/usr/sbin'
    lacking = [name for name in PROGRAMS if not shutil.which(name, path=path)]
    if lacking:
        return f'{", ".join(lacking)} of SLURM and MUNGE are not installed (Debian: slurm-wlm, munge)'
    return '' if os.geteuid() == 0 else 'its daemons are started as root'


class LocalSlurm:
    """Start it; ``environment`` is what its commands need. ``stop`` ends the daemons that it started."""

    def __init__(self, folder):
        self.folder, host = str(folder), socket.gethostname().split('.')[0]
        with open(
            os.path.join(self.folder, 'key'), 'wb', opener=lambda path, flags: os.open(path, flags, 0o600)
        ) as key:
            key.write(os.urandom(1024))
        for name in ('state', 'spool_one', 'spool_two'):
            os.mkdir(os.path.join(self.folder, name))
        configuration = os.path.join(self.folder, 'slurm.conf')
        with open(configuration, 'w') as stream:
            stream.write(CONFIGURATION.format(host=host, folder=self.folder, ports=_free_ports(3)))
        path = os.environ['PATH'] + os.pathsep + '/usr/sbin'
        self.environment = dict(os.environ, SLURM_CONF=configuration, PATH=path)
        names = {'key-file': 'key', 'socket': 'munge.socket', 'pid-file': 'munge.pid', 'log-file': 'munge.log'}
        names['seed-file'] = 'munge.seed'
        words = [f'--{option}={os.path.join(self.folder, name)}' for option, name in names.items()]
        self._started = []
        try:
            self._start_all(configuration, words)
        except Exception:
            self.stop()
            raise

    def _start_all(self, configuration, words):
        self._start('munged', '--force', '--foreground', *words)
        self._wait(lambda: os.path.exists(os.path.join(self.folder, 'munge.socket')))
        self._start('slurmctld', '-D', '-f', configuration)
        for node in ('one', 'two'):
            self._start('slurmd', '-D', '-f', configuration, '-N', node)
        self._wait(lambda: self.run('sinfo', '-h', '-o', '%t %D').split() == ['idle', '2'])

    def _start(self, *words):
        with open(os.path.join(self.folder, words[0] + '.printed'), 'ab') as printed:
            self._started.append(
                subprocess.Popen(words, env=self.environment, stdout=printed, stderr=printed, start_new_session=True)
            )

    def run(self, *words):
        """What a command prints."""
        done = subprocess.run(words, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        return done.stdout.decode()

    def _wait(self, happened, seconds=60):
        end = time.time() + seconds
        while not happened():
            if time.time() > end:
                raise RuntimeError(f'SLURM did not start:\n{self.logs()}')
            time.sleep(0.1)

    def logs(self):
        """The last lines of its logs."""
        texts = []
        for name in sorted(os.listdir(self.folder)):
            if name.endswith(('.log', '.printed')):
                with open(os.path.join(self.folder, name), errors='replace') as stream:
                    texts.append(f'{name}:\n{"".join(stream.readlines()[-8:])}')
        return '\n'.join(texts)

    def stop(self):
        """End its jobs and daemons."""
        self.run('scancel', '-u', 'root', '--signal=KILL', '--full')
        self.run('scancel', '-u', 'root')
        for process in self._started[::-1]:
            process.send_signal(signal.SIGTERM)
        for process in self._started:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()


def _free_ports(number):
    sockets = [socket.socket() for _ in range(number)]
    for one in sockets:
        one.bind(('127.0.0.1', 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports
