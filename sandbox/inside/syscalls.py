"""The names of the system calls that programs may use, by purpose, and their numbers."""

from __future__ import annotations

ALLOWED: dict[str, str] = {
    "files": """
        read write open close stat fstat lstat lseek pread64 pwrite64 readv writev access pipe dup dup2 sendfile
        flock fsync fdatasync truncate ftruncate getdents getcwd chdir fchdir rename mkdir rmdir creat link unlink
        symlink readlink chmod fchmod umask statfs fstatfs getxattr lgetxattr fgetxattr listxattr llistxattr
        flistxattr getdents64 fadvise64 openat mkdirat newfstatat unlinkat renameat linkat symlinkat readlinkat
        fchmodat faccessat utimensat fallocate dup3 pipe2 preadv pwritev renameat2 copy_file_range preadv2 pwritev2
        statx close_range faccessat2
    """,
    "memory": """
        mmap mprotect munmap brk mremap msync madvise
    """,
    "waiting": """
        poll select pause nanosleep clock_nanosleep epoll_wait epoll_ctl epoll_create pselect6 ppoll epoll_pwait
        eventfd eventfd2 epoll_create1 futex sched_yield restart_syscall
    """,
    "signals and timers": """
        rt_sigaction rt_sigprocmask rt_sigreturn getitimer alarm setitimer rt_sigpending rt_sigtimedwait
        rt_sigsuspend sigaltstack
    """,
    "time": """
        gettimeofday time clock_gettime clock_getres
    """,
    "who am I": """
        getpid uname getrlimit getrusage sysinfo times getuid getgid geteuid getegid getppid getpgrp getgroups
        getresuid getresgid getpgid getsid capget getpriority gettid sched_getaffinity getcpu
    """,
    "threads and exit": """
        exit wait4 arch_prctl set_tid_address exit_group waitid set_robust_list membarrier rseq
    """,
    "randomness": """
        getrandom
    """,
    "one's own socket pair": """
        recvfrom sendmsg recvmsg shutdown getsockname getpeername getsockopt
    """,
}
# Unknown rather than forbidden: libraries then retry with an older call.
FALL_BACK = "clone3 openat2 pidfd_open io_uring_setup io_uring_enter io_uring_register"
# Added where a program may start others; kill then reaches its own pid namespace only.
SUBPROCESSES = "fork vfork execve kill setpgid setsid execveat"

_X86_64 = """
    read=0 write=1 open=2 close=3 stat=4 fstat=5 lstat=6 poll=7 lseek=8 mmap=9 mprotect=10 munmap=11 brk=12
    rt_sigaction=13 rt_sigprocmask=14 rt_sigreturn=15 ioctl=16 pread64=17 pwrite64=18 readv=19 writev=20 access=21
    pipe=22 select=23 sched_yield=24 mremap=25 msync=26 madvise=28 dup=32 dup2=33 pause=34 nanosleep=35 getitimer=36
    alarm=37 setitimer=38 getpid=39 sendfile=40 sendto=44 recvfrom=45 sendmsg=46 recvmsg=47 shutdown=48
    getsockname=51 getpeername=52 socketpair=53 getsockopt=55 clone=56 fork=57 vfork=58 execve=59 exit=60 wait4=61
    kill=62 uname=63 fcntl=72 flock=73 fsync=74 fdatasync=75 truncate=76 ftruncate=77 getdents=78 getcwd=79 chdir=80
    fchdir=81 rename=82 mkdir=83 rmdir=84 creat=85 link=86 unlink=87 symlink=88 readlink=89 chmod=90 fchmod=91
    umask=95 gettimeofday=96 getrlimit=97 getrusage=98 sysinfo=99 times=100 getuid=102 getgid=104 geteuid=107
    getegid=108 setpgid=109 getppid=110 getpgrp=111 setsid=112 getgroups=115 getresuid=118 getresgid=120 getpgid=121
    getsid=124 capget=125 rt_sigpending=127 rt_sigtimedwait=128 rt_sigsuspend=130 sigaltstack=131 statfs=137
    fstatfs=138 getpriority=140 prctl=157 arch_prctl=158 gettid=186 getxattr=191 lgetxattr=192 fgetxattr=193
    listxattr=194 llistxattr=195 flistxattr=196 time=201 futex=202 sched_getaffinity=204 epoll_create=213
    getdents64=217 set_tid_address=218 restart_syscall=219 fadvise64=221 clock_gettime=228 clock_getres=229
    clock_nanosleep=230 exit_group=231 epoll_wait=232 epoll_ctl=233 tgkill=234 waitid=247 openat=257 mkdirat=258
    newfstatat=262 unlinkat=263 renameat=264 linkat=265 symlinkat=266 readlinkat=267 fchmodat=268 faccessat=269
    pselect6=270 ppoll=271 set_robust_list=273 utimensat=280 epoll_pwait=281 eventfd=284 fallocate=285 eventfd2=290
    epoll_create1=291 dup3=292 pipe2=293 preadv=295 pwritev=296 prlimit64=302 getcpu=309 renameat2=316 getrandom=318
    execveat=322 membarrier=324 copy_file_range=326 preadv2=327 pwritev2=328 statx=332 rseq=334 io_uring_setup=425
    io_uring_enter=426 io_uring_register=427 pidfd_open=434 clone3=435 close_range=436 openat2=437 faccessat2=439
"""


def _table(text: str) -> dict[str, int]:
    return {name: int(number) for name, number in (entry.split("=") for entry in text.split())}


NUMBERS: dict[str, dict[str, int]] = {"x86_64": _table(_X86_64)}
