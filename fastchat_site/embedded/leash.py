"""A shim that ties a command to the life of whoever started it, then becomes that command.

    python -I -S leash.py --parent PID [--user NAME] [--signal N] -- COMMAND…

It drops to the user, asks the kernel for a signal when the parent dies (by kill -9 too), makes sure that the parent has
not died meanwhile, and execs. It stays no process of its own: pid, pipes and exit status are the command's.

It imports the standard library only and is run by path: importing the site here would cost every start half a second.
The kernel ties the signal to the parent *thread*: start it from the main thread.
"""

import argparse
import ctypes
import os
import pwd
import signal
import sys

PR_SET_PDEATHSIG = 1  # Source: prctl(2)
EXIT_ORPHANED = 75  # Source: sysexits.h, EX_TEMPFAIL
EXIT_CANNOT_EXEC = 126  # Source: POSIX shell, "found but not executable"


def drop_to_user(name: str) -> None:
    """Become the user for good: groups first, because afterwards the right to change them is gone."""
    entry = pwd.getpwnam(name)
    os.setgroups([])
    os.setresgid(entry.pw_gid, entry.pw_gid, entry.pw_gid)
    os.setresuid(entry.pw_uid, entry.pw_uid, entry.pw_uid)
    os.environ["HOME"] = entry.pw_dir
    os.environ["USER"] = os.environ["LOGNAME"] = name


def die_with_parent(signal_number: int) -> None:
    """Have the kernel send the signal to this process when its parent thread ends.

    Call it after `drop_to_user`: a change of user clears the wish.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, signal_number, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")


def main() -> int:
    """Parse, drop, tie, check, exec; returns only if one of them fails."""
    parser = argparse.ArgumentParser(prog="leash")
    parser.add_argument("--parent", type=int, required=True, help="the pid that must still be our parent")
    parser.add_argument("--user", help="become this user first (root only)")
    parser.add_argument(
        "--signal", type=int, default=int(signal.SIGTERM), help="sent to the command when we are orphaned"
    )
    parser.add_argument("command", nargs="+")
    options = parser.parse_args()
    if options.user:
        drop_to_user(options.user)
    die_with_parent(options.signal)
    if os.getppid() != options.parent:
        return EXIT_ORPHANED
    try:
        os.execvp(options.command[0], options.command)  # noqa: S606
    except OSError as exc:
        sys.stderr.write(f"cannot run {options.command[0]}: {exc.strerror}\n")
        return EXIT_CANNOT_EXEC


if __name__ == "__main__":
    sys.exit(main())
