"""The system calls that a confined process does not get, with their numbers.

Each line of a table has the name, the number on x86-64 and the number on aarch64; `-` stands for a
call that the machine does not have. The numbers are those of `asm/unistd_64.h` and
`asm-generic/unistd.h`.
"""

import platform

LAST = 470  # of Linux 6.18, on both machines; a later call is one that nobody has judged here

_MACHINES = ("x86_64", "aarch64")

PROCESSES = """
execve 59 221, execveat 322 281, fork 57 -, vfork 58 -
ptrace 101 117, process_vm_readv 310 270, process_vm_writev 311 271, process_madvise 440 440,
process_mrelease 448 448, kcmp 312 272, pidfd_open 434 434, pidfd_getfd 438 438,
pidfd_send_signal 424 424, tkill 200 130, setpriority 141 140, ioprio_set 251 30,
sched_setscheduler 144 119, sched_setparam 142 118, sched_setattr 314 274,
sched_setaffinity 203 122, migrate_pages 256 238, move_pages 279 239, setsid 112 157,
setpgid 109 154
"""
KERNEL = """
perf_event_open 298 241, bpf 321 280, userfaultfd 323 282, keyctl 250 219, add_key 248 217,
request_key 249 218, io_uring_setup 425 425, io_uring_enter 426 426, io_uring_register 427 427,
mount 165 40, umount2 166 39, pivot_root 155 41, move_mount 429 429, open_tree 428 428,
open_tree_attr 467 467, fsopen 430 430, fsconfig 431 431, fsmount 432 432, fspick 433 433,
mount_setattr 442 442, unshare 272 97, setns 308 268, chroot 161 51, open_by_handle_at 304 265,
fanotify_init 300 262,
inotify_add_watch 254 27, quotactl 179 60, quotactl_fd 443 443, syslog 103 116,
reboot 169 142, kexec_load 246 104, kexec_file_load 320 294, init_module 175 105,
finit_module 313 273, delete_module 176 106, swapon 167 224, swapoff 168 225, acct 163 89,
sethostname 170 161, setdomainname 171 162, settimeofday 164 170, clock_settime 227 112,
clock_adjtime 305 266, adjtimex 159 171, iopl 172 -, ioperm 173 -, modify_ldt 154 -,
vhangup 153 58, uselib 134 -, personality 135 92,
setuid 105 146, setgid 106 144, setreuid 113 145, setregid 114 143, setresuid 117 147,
setresgid 119 149, setgroups 116 159, setfsuid 122 151, setfsgid 123 152, capset 126 91
"""
# Landlock has no right for these, so that they would reach each file of the user.
OWNERSHIP = """
chmod 90 -, fchmod 91 52, fchmodat 268 53, fchmodat2 452 452, chown 92 -, fchown 93 55,
lchown 94 -, fchownat 260 54, utime 132 -, utimes 235 -, futimesat 261 -, utimensat 280 88,
setxattr 188 5, lsetxattr 189 6, fsetxattr 190 7, setxattrat 463 463, removexattr 197 14,
lremovexattr 198 15, fremovexattr 199 16, removexattrat 466 466, file_setattr 469 469,
truncate 76 45
"""
# Memory that other processes can share, and that the limit of the process does not count.
SHARED = """
shmget 29 194, shmat 30 196, shmctl 31 195, shmdt 67 197, msgget 68 186, msgsnd 69 189,
msgrcv 70 188, msgctl 71 187, semget 64 190, semop 65 193, semtimedop 220 192, semctl 66 191,
mq_open 240 180, mq_unlink 241 181, memfd_secret 447 447
"""
CONNECTIONS = """
connect 42 203, sendmsg 46 211, sendmmsg 307 269
"""
# NVIDIA's driver makes a socket of its own, to which nobody connects, and memory without a name.
OF_GPU = """
socketpair 53 199, bind 49 200, listen 50 201, accept 43 202, accept4 288 242,
memfd_create 319 279
"""
# Which of these are refused depends on their arguments.
JUDGED = """
socket 41 198, sendto 44 206,
clone 56 220, clone3 435 435, kill 62 129, tgkill 234 131, rt_sigqueueinfo 129 138,
rt_tgsigqueueinfo 297 240, prlimit64 302 261, fcntl 72 25, ioctl 16 29, mmap 9 222,
close 3 57, dup 32 23, dup2 33 -, dup3 292 24, close_range 436 436
"""


def numbers(table: str) -> dict[str, int]:
    """The numbers of a table's calls on this machine. Raises OSError on another kind of machine."""
    machine = platform.machine()
    if machine not in _MACHINES:
        raise OSError(f"the system calls of {machine} are not known")
    column = 1 + _MACHINES.index(machine)
    entries = (entry.split() for entry in table.replace("\n", ",").split(",") if entry.strip())
    return {entry[0]: int(entry[column]) for entry in entries if entry[column] != "-"}
