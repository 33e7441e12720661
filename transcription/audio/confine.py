"""Confinement of the process that opens a person's file: bounds on resources, no network, programs or other files.

A decoder reads data that an attacker may have written, so the process may be taken over. It can then only compute,
within its limits, and write to the descriptors that it was given.
"""

import ctypes
import math
import os
import platform
import resource
import struct
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

DESCRIPTORS = 32  # open at once; a task needs five


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of the work on one file.

    CPU time: `cpu` seconds for any file, one more for each `rate` bytes of it, and one more for each `pace`
    seconds of sound that come out. On one core of 2020 a small file takes 0.1 s, a megabyte of the densest honest
    packets (AMR, 32 bytes each) 0.3 s, a minute of sound 0.4 s. Slow machines may take ten times as long.

    memory: bytes of address space besides what the process begins with. An MP4 of 12 hours with sound and 60 pictures
    a second has 4.6 million packets, whose index takes 24 bytes each, and tables of it twice that while it is read.

    growth, least: a file that is written may have `growth` bytes for each byte of the one that is read, and `least`.
    A copy for browsers is Opus of 6 or 10 kB a second; the smallest speech codec, Speex, makes 0.27 kB a second.
    """

    cpu: float = 5.0
    rate: float = 2_000_000
    pace: float = 10.0
    memory: int = 512 * 1024**2
    growth: int = 32
    least: int = 1024**2

    def cpu_seconds(self, size: int) -> float:
        """The CPU time until sound comes out of a file of `size` bytes, in seconds."""
        return self.cpu + size / self.rate


_EPERM = 1
_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _SECCOMP_FILTER = 1, 38, 22, 2
_SIGKILL = 9
# The number of the machine (linux/audit.h), then those of the system calls that are refused: whatever makes a
# connection, starts a program, or reaches into another process. From the kernel's syscall tables.
_CALLS = {
    "x86_64": (
        0xC000003E,
        # socket, connect, accept, bind, listen, socketpair, accept4, execve, execveat, ptrace, process_vm_*
        (41, 42, 43, 49, 50, 53, 288, 59, 322, 101, 310, 311),
        # kill, tkill, tgkill, rt_sigqueueinfo, unshare, setns, mount, bpf, keyctl, perf_event_open, userfaultfd
        (62, 200, 234, 129, 272, 308, 165, 321, 250, 298, 323),
    ),
    "aarch64": (
        0xC00000B7,
        (198, 203, 202, 200, 201, 199, 242, 221, 281, 117, 270, 271),
        (129, 130, 131, 138, 97, 268, 40, 280, 219, 241, 282),
    ),
}
_NEWER = (424, 425, 438)  # pidfd_send_signal, io_uring_setup, pidfd_getfd: the same numbers everywhere
_LANDLOCK_CREATE, _LANDLOCK_RESTRICT = 444, 446
_LANDLOCK_ALL = 0x1FFF  # every right over files that the first version of Landlock knows

_libc = ctypes.CDLL(None, use_errno=True)


class CpuTime:
    """The limit of this process's CPU time, which the kernel enforces (SIGXCPU). It grows with the sound."""

    def __init__(self, limits: Limits, size: int, max_hours: float) -> None:
        self._pace = limits.pace
        self._at_first = limits.cpu_seconds(size)
        self._set(self._at_first, math.ceil(self._at_first + max_hours * 3600 / self._pace) + 1)

    def earn(self, seconds: float) -> None:
        """Raise the limit: so many seconds of sound have come out in all."""
        self._set(self._at_first + seconds / self._pace, resource.getrlimit(resource.RLIMIT_CPU)[1])

    def _set(self, seconds: float, most: int) -> None:
        resource.setrlimit(resource.RLIMIT_CPU, (min(math.ceil(seconds), most), most))


def bound(limits: Limits, size: int) -> None:
    """Bound memory, open descriptors and the size of written files, for the work on a file of `size` bytes."""
    if (status := Path("/proc/self/statm")).exists():  # Linux; elsewhere the address space is not known
        pages = int(status.read_text().split()[0])
        _limit(resource.RLIMIT_AS, pages * resource.getpagesize() + limits.memory)
    _limit(resource.RLIMIT_NOFILE, DESCRIPTORS)
    _limit(resource.RLIMIT_FSIZE, limits.least + limits.growth * size)
    _limit(resource.RLIMIT_CORE, 0)
    with suppress(OSError):  # where memory runs out all the same, the kernel ends this process before others
        Path("/proc/self/oom_score_adj").write_text("1000")


def _limit(kind: int, value: int) -> None:
    _, most = resource.getrlimit(kind)
    value = value if most == resource.RLIM_INFINITY else min(value, most)
    resource.setrlimit(kind, (value, value))


def die_with_parent() -> None:
    """Let the kernel kill this process when its parent ends."""
    if platform.system() == "Linux":
        parent = os.getppid()
        _libc.prctl(_PR_SET_PDEATHSIG, _SIGKILL)
        if os.getppid() != parent:
            os._exit(1)


def close_off() -> bool:
    """Give up the network, other programs, and, where the kernel has Landlock, all files that are not open yet.

    Returns whether the network is closed: on Linux, on the machines that are known here.
    """
    if platform.system() != "Linux" or _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        return False
    _close_files()
    return _refuse_calls()


def _close_files() -> None:
    """Apply an empty Landlock ruleset, which allows no file. Kernels before 5.13 have no Landlock."""
    attributes = ctypes.create_string_buffer(struct.pack("Q", _LANDLOCK_ALL), 8)
    rules = _libc.syscall(_LANDLOCK_CREATE, attributes, ctypes.c_size_t(8), 0)
    if rules >= 0:
        _libc.syscall(_LANDLOCK_RESTRICT, rules, 0)
        os.close(rules)


class _Program(ctypes.Structure):
    """struct sock_fprog: the length of a filter, and its address."""

    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_char_p)]


def _refuse_calls() -> bool:
    """Install a seccomp filter, so that the calls of _CALLS fail with EPERM."""
    if (known := _CALLS.get(platform.machine())) is None:
        return False
    machine, reaching, touching = known
    refused = [*reaching, *touching, *_NEWER]
    load, equal, above, end = 0x20, 0x15, 0x35, 0x06  # BPF: load a word, jump if equal, jump if not below, return
    allow, deny = 0x7FFF0000, 0x00050000 | _EPERM
    many = len(refused)
    steps = [  # a jump is given as the number of steps to skip
        (load, 0, 0, 4),  # the machine, which the numbers of the calls belong to
        (equal, 0, many + 3, machine),
        (load, 0, 0, 0),  # the number of the call
        (above, many + 1, 0, 0x40000000),  # the calls of x32: the same under other numbers
        *((equal, many - place, 0, number) for place, number in enumerate(refused)),
        (end, 0, 0, allow),
        (end, 0, 0, deny),
    ]
    code = b"".join(struct.pack("HBBI", *step) for step in steps)
    program = _Program(len(steps), code)
    return bool(_libc.prctl(_PR_SET_SECCOMP, _SECCOMP_FILTER, ctypes.byref(program), 0, 0) == 0)
