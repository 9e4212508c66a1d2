"""The first process of a box: sets the box up, then forks one child per program and measures it.

Started by path, with an environment of a few fixed variables and `-P -s -S`: nothing of the user's directories,
site-packages or environment comes in. (`-I` would also ignore PYTHONHASHSEED, and with a random hash seed the order of
sets, and so now and then a verdict, would change from run to run.) It never runs a program itself and never parses what
a program sends, so every child starts from the same pristine memory.
"""

from __future__ import annotations

import contextlib
import marshal
import os
import select
import signal
import socket
import sys
import time
from typing import Any, NamedTuple, NoReturn

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from sandbox import isolate, runner, seccomp, warm, wire
from sandbox.scratch import Scratch, now_ns
from sandbox.walls import Walls

sys.path.pop(0)

TICK_S = 0.05
"""How often the clocks of a program are read, and how often at most near its limit."""
LEAST_TICK_S = 0.002


def main() -> None:
    """Entry point of the launcher, which becomes the box's outer end and waits for it."""
    settings = marshal.loads(bytes.fromhex(sys.argv[1]))
    # A program sees neither our paths nor a process id, which would differ from run to run.
    sys.argv[:], sys.orig_argv[:] = [""], [""]
    for name in ("HOSTNAME", "PWD", "LD_BIND_NOW"):  # of a container, of bubblewrap, of ours (see `sandbox.local`)
        os.environ.pop(name, None)
    if settings["walls"] != "namespaces":
        _become_box_within(settings)
    control = _control(settings)
    try:
        status = _launch(settings, control)
    except (OSError, ImportError, NotImplementedError) as error:
        control.send(wire.FAILED + str(error).encode())
        status = 1
    os._exit(status)


def _control(settings: dict[str, Any]) -> socket.socket:
    """The control socket: a path that leads to it, or an inherited descriptor."""
    if "socket" in settings:
        control = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        control.connect(settings["socket"])
        return control
    inherited = int(settings["control"])
    # The lowest free number: a program's process closes what lies below its limit of descriptors, and no more.
    control = socket.socket(fileno=os.dup(inherited))
    os.close(inherited)
    return control


def _launch(settings: dict[str, Any], control: socket.socket) -> int:
    isolate.die_with_parent()
    if os.getppid() != settings["parent"]:
        return 1  # the slot died before the line above took effect
    proc = os.open("/proc", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    outer = os.stat("/proc/self/ns/pid").st_ino
    privileged = isolate.enter_namespaces()
    root = isolate.build_root(isolate.Tree(**settings["tree"]))
    ours, theirs = socket.socketpair()
    pid = os.fork()
    if pid == 0:
        os.close(proc)
        ours.close()
        _become_box(settings, control, root, outer, theirs if privileged else None)
    theirs.close()
    control.close()
    if privileged and ours.recv(1):
        isolate.write_id_maps(pid, settings["outside_id"], proc)
        ours.send(b"m")
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) & 0xFF


def _become_box_within(settings: dict[str, Any]) -> NoReturn:
    """The box where somebody else has put up the walls, or nobody: what is left to do is done here."""
    control = _control(settings)
    try:
        walls = Walls.of(settings)
        if walls.owns_namespace:
            _check_namespace(os.stat("/proc/self/ns/pid").st_ino, settings["outer_pid_ns"])
        procfs = os.open("/proc", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        remarks = _finish_mounts() if walls.name == "bwrap" else []
        isolate.drop_capabilities()
        isolate.hide_from_debuggers()
        isolate.limit_resources(processes=walls.owns_namespace)
        facts = _last_layers(settings, procfs, walls)
        facts["layers"] += remarks
    except (OSError, ImportError, NotImplementedError) as error:
        control.send(wire.FAILED + str(error).encode())
        os._exit(1)
    control.send(wire.BORN + marshal.dumps(facts, 2))
    _Box(control, procfs, walls).serve()


def _finish_mounts() -> list[str]:
    """What is to be said of a box that bubblewrap built, where its mounts cannot be improved on."""
    try:
        isolate.finish_mounts()
    except isolate.IsolationError as error:
        return [f"but /proc can be seen, and devices marked: {error}"]
    return []


def _check_namespace(own: int, outer: int) -> None:
    if os.getpid() != 1 or own == outer:
        raise OSError(1, "the box is not pid 1 of its own pid namespace")


def _become_box(
    settings: dict[str, Any], control: socket.socket, root: str, outer: int, mapper: socket.socket | None
) -> NoReturn:
    try:
        procfs = _wall_in(root, outer, mapper)
        walls = Walls.of(settings)
        layers = _last_layers(settings, procfs, walls)
    except (OSError, ImportError, NotImplementedError) as error:
        control.send(wire.FAILED + str(error).encode())
        os._exit(1)
    control.send(wire.BORN + marshal.dumps(layers, 2))
    _Box(control, procfs, walls).serve()


def _wall_in(root: str, outer: int, mapper: socket.socket | None) -> int | None:
    """Everything but the filter. Raises unless this is pid 1 of a pid namespace of its own."""
    isolate.die_with_parent()
    procfs = isolate.open_procfs(root)
    own = os.stat("self/ns/pid", dir_fd=procfs).st_ino if procfs is not None else 0
    _check_namespace(own, outer)
    isolate.change_root(root)
    if mapper is not None:
        isolate.enter_user_namespace()
        mapper.send(b"?")
        mapper.recv(1)
        mapper.close()
        isolate.become_user()
    isolate.drop_capabilities()
    isolate.hide_from_debuggers()
    isolate.die_with_parent()
    isolate.limit_resources()
    return procfs


def _last_layers(settings: dict[str, Any], procfs: int | None, walls: Walls) -> dict[str, Any]:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)  # pid 1 is deaf to what it does not handle
    silence = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
    for standard in (0, 1, 2):
        os.dup2(silence, standard)
    os.close(silence)
    os.chdir("/tmp")
    os.umask(0o077)
    sys.path.extend(settings["import_path"])
    warm.warm_up(settings["preload"])
    if walls.filtered:
        seccomp.install(seccomp.assemble())
    return {"layers": walls.layers(), "run_queue_clock": procfs is not None, "python": sys.version.split()[0]}


class _Waiting(NamedTuple):
    """The process of the next program, forked already and waiting for its job."""

    pid: int
    handle: int
    """A pidfd."""


class _Box:
    """The zygote at work: forks, waits for jobs, watches the clock, tidies up.

    The process of the next program is forked while the slot judges the last one, after everything of that has ended.
    """

    def __init__(self, control: socket.socket, procfs: int | None, walls: Walls) -> None:
        self.control = control
        self.walls = walls
        self.procfs = procfs
        self.baseline_bytes = _empty_program_bytes()
        # Without a namespace of its own a program has nowhere to leave anything, and /tmp is everybody's.
        self.scratch = Scratch() if walls.owns_namespace else None

    def serve(self) -> NoReturn:
        waiting: _Waiting | None = None
        while True:
            message, descriptors, _, _ = socket.recv_fds(self.control, 256, 1)
            if not message:
                os._exit(0)  # the slot is gone; the kernel ends whatever is left in this namespace
            if not descriptors:
                continue  # a KILL for a program that had already ended
            if waiting is not None:
                _, cpu_s, wall_s = wire.RUN.unpack(message)
                self.execute(waiting, cpu_s, wall_s)
            waiting = self.fork(descriptors[0])

    def fork(self, job: int) -> _Waiting:
        pid = os.fork()
        if pid == 0:
            runner.run(job, None if self.walls.owns_namespace else self.walls.close_in)
        os.close(job)
        return _Waiting(pid, os.pidfd_open(pid))

    def execute(self, program: _Waiting, cpu_s: float, wall_s: float) -> None:
        started, started_ns = time.monotonic(), now_ns()
        try:
            reason = self.watch(program, started, cpu_s, wall_s)
        finally:
            os.close(program.handle)
        _, status, usage = os.wait4(program.pid, 0)
        strays_s = self.end_strays()
        cpu = usage.ru_utime + usage.ru_stime + strays_s
        if reason in (wire.REASON_OWN, wire.REASON_KILLED) and cpu > cpu_s:
            reason = wire.REASON_CPU  # it ended between two ticks, and the limit is the limit
        clean = self.scratch is None or self.scratch.unchanged_since(started_ns) or self.scratch.restore()
        wall = time.monotonic() - started
        memory = max(0, usage.ru_maxrss * 1024 - self.baseline_bytes)
        self.control.send(wire.EXIT.pack(b"X", reason, status, cpu, wall, memory, clean))

    def watch(self, program: _Waiting, started: float, cpu_s: float, wall_s: float) -> bytes:
        """Waits for the end of the program, and brings it about where a limit or the slot says so."""
        poller = select.poll()
        poller.register(program.handle, select.POLLIN)
        poller.register(self.control, select.POLLIN)
        last = started
        used = delayed = 0.0
        while True:
            # No longer than the program can go on, so that one that never ends is not paid for a whole tick more.
            patience_s = min(TICK_S, max(cpu_s - used, LEAST_TICK_S))
            ready = [descriptor for descriptor, _ in poller.poll(patience_s * 1000)]
            if program.handle in ready:
                return wire.REASON_OWN
            reason = b""
            if ready:
                message = self.control.recv(64)
                if not message:
                    os.kill(program.pid, signal.SIGKILL)  # without a namespace of its own it would stay
                    os._exit(0)
                reason = wire.REASON_KILLED
            else:
                now = time.monotonic()
                cpu, delay = self.clocks(program.pid)
                idle = max(0.0, (now - last) - max(0.0, cpu - used) - max(0.0, delay - delayed))
                with contextlib.suppress(BlockingIOError):  # a slot that thinks long leaves its ticks unread
                    self.control.send(wire.TICK.pack(b"T", last, idle), socket.MSG_DONTWAIT)
                last, used, delayed = now, cpu, delay
                if cpu > cpu_s:
                    reason = wire.REASON_CPU
                elif now - started > wall_s:
                    reason = wire.REASON_WALL
            if reason:
                os.kill(program.pid, signal.SIGKILL)
                return reason

    def clocks(self, pid: int) -> tuple[float, float]:
        """Processor seconds, and seconds of waiting for a processor, of all processes in the box but this one."""
        if self.procfs is None:
            return processor_s(pid), 0.0
        if not self.walls.owns_namespace:
            return processor_s(pid), self.run_delay_s(str(pid))
        cpu = delay = 0.0
        for name in os.listdir(self.procfs):
            if name.isdigit() and name != "1":
                cpu += processor_s(int(name))
                delay += self.run_delay_s(name)
        return cpu, delay

    def run_delay_s(self, name: str) -> float:
        try:
            descriptor = os.open(f"{name}/schedstat", os.O_RDONLY | os.O_CLOEXEC, dir_fd=self.procfs)
        except OSError:
            return 0.0
        try:
            fields = os.read(descriptor, 100).split()
        except OSError:
            return 0.0
        finally:
            os.close(descriptor)
        return int(fields[1]) / 1e9 if len(fields) > 1 else 0.0

    def end_strays(self) -> float:
        """Kills and reaps what the program left behind; their processor seconds.

        Orphans become children of pid 1, so having no child means that nothing is left.
        """
        seconds = 0.0
        while True:
            try:
                pid, _, usage = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                return seconds
            if pid == 0:
                kill_everything_else()
                pid, _, usage = os.wait4(-1, 0)
            seconds += usage.ru_utime + usage.ru_stime


def _empty_program_bytes() -> int:
    """Peak memory of a fork that does nothing: what every program inherits."""
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    return os.wait4(pid, 0)[2].ru_maxrss * 1024


def kill_everything_else() -> None:
    """SIGKILL to every process of this pid namespace but its first, which this must be.

    `main` has compared the namespace with the launcher's before anything else, so the check here is the second one:
    outside a namespace of its own, this call would end the whole machine.
    """
    if os.getpid() != 1:
        raise AssertionError("not pid 1 of a pid namespace")
    os.kill(-1, signal.SIGKILL)


def processor_s(pid: int) -> float:
    """Processor seconds of one process so far, 0 where it has just ended (see clock_getcpuclockid(3))."""
    try:
        return time.clock_gettime(((~pid) << 3) | 2)
    except OSError:
        return 0.0


if __name__ == "__main__":
    main()
