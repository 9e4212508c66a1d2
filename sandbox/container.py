"""A box in a Docker container: the same zygote as process 1, one warm container per slot, never one per program.

For machines where programs must not share more than the kernel with us, or where namespaces are forbidden; with
`runtime="runsc"` not even the kernel. The control socket is a file in a directory that the container sees, so the
daemon must run on this machine.
"""

from __future__ import annotations

import contextlib
import glob
import os
import shutil
import socket
import tempfile
from typing import Any

from sandbox import image, isolate
from sandbox.local import FLAGS, argument, environment, greeting
from sandbox.packages import Packages, resolve
from sandbox.program import SandboxUnavailable
from sandbox.sandbox import Sandbox

OUTSIDE_ID = 100_000
"""First user id of containers; RLIMIT_NPROC counts by id, so each container has its own."""

MEMORY_BYTES = 4 << 30
"""For all processes of a container together; each of them has its own limit of address space below it."""

_SOCKET = "control"
_FOLDER = "harness-box-"
"""How the names of directories with control sockets begin; the slot's process id follows."""


class ContainerBox:
    """One container with a zygote as its process 1.

    Raises:
        SandboxUnavailable: no daemon answers, or it refuses; the message says which step failed.
    """

    def __init__(self, packages: Packages, *, runtime: str | None = None, base: str | None = None) -> None:
        import docker
        import docker.errors

        self.worn = False
        self.programs = 0
        self.job: socket.socket | None = None
        self._container: Any = None
        self._folder = tempfile.TemporaryDirectory(prefix=f"{_FOLDER}{os.getpid()}-")
        try:
            self._client: Any = docker.from_env(timeout=60)
            chosen = image.ensure(self._client, base)
            with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
                self._listen(listener)
                self._container = self._run(chosen, packages, runtime, base)
                self.control = self._accept(listener)
            answer = greeting(self.control)
            if isinstance(answer, str):
                raise SandboxUnavailable(f"the container cannot be set up: {answer or self._last_words()}")
        except docker.errors.DockerException as error:
            self.close()
            raise SandboxUnavailable(f"Docker: {error}") from error
        except BaseException:
            self.close()
            raise
        self.facts: dict[str, Any] = {"name": "docker", "runtime": runtime or "default", "image": chosen, **answer}

    def _listen(self, listener: socket.socket) -> None:
        path = os.path.join(self._folder.name, _SOCKET)
        listener.bind(path)
        listener.listen(1)
        listener.settimeout(30.0)
        # The container's user is nobody we know; the directory above is ours alone, so only containers come this way.
        os.chmod(path, 0o666)
        os.chmod(self._folder.name, 0o755)

    def _run(self, chosen: str, packages: Packages, runtime: str | None, base: str | None) -> Any:
        identity = OUTSIDE_ID + os.getpid() % 50_000
        settings = {
            "walls": "container",
            "outer_pid_ns": os.stat("/proc/self/ns/pid").st_ino,
            "socket": f"/control/{_SOCKET}",
        }
        settings.update(packages.settings())
        python = image.interpreter() if base is None else "python3"
        scratch = f"size={isolate.SCRATCH_BYTES},nr_inodes={isolate.SCRATCH_INODES},mode=1777,nosuid,nodev"
        options: dict[str, Any] = {
            "user": f"{identity}:{identity}",
            "environment": environment(packages),
            "network_mode": "none",
            "ipc_mode": "private",
            "cap_drop": ["ALL"],
            "security_opt": ["no-new-privileges"],
            "read_only": True,
            "tmpfs": {"/tmp": scratch, "/dev/shm": scratch},
            "pids_limit": 64,
            "mem_limit": MEMORY_BYTES,
            "memswap_limit": MEMORY_BYTES,
            "labels": {image.LABEL: "box", f"{image.LABEL}.pid": str(os.getpid())},
            "log_config": {"Type": "none"},
            "runtime": runtime,
            "auto_remove": True,  # when process 1 ends, for whatever reason, nothing stays behind
            "volumes": {
                self._folder.name: {"bind": "/control", "mode": "ro"},
                **image.volumes(packages),
                **(image.libraries(packages.moves) if base is None else image.own_code()),
            },
        }
        command = [python, *FLAGS, f"{image.HOME}/sandbox/zygote.py", argument(settings)]
        return self._client.containers.run(chosen, command, detach=True, **options)

    def _accept(self, listener: socket.socket) -> socket.socket:
        try:
            control, _ = listener.accept()
        except TimeoutError:
            raise SandboxUnavailable(f"the container does not answer: {self._last_words()}") from None
        return control

    def _last_words(self) -> str:
        self._container.reload()
        state = self._container.attrs["State"]
        return f"it is {state['Status']} with exit code {state['ExitCode']} {state['Error']}".strip()

    def close(self) -> None:
        """Removes the container and everything in it."""
        with contextlib.suppress(AttributeError):
            self.control.close()
        if self.job is not None:
            self.job.close()
        if self._container is not None:
            import docker.errors

            # Already gone is as good. Never `stop`: process 1 is deaf to SIGTERM, and the daemon would wait for it.
            with contextlib.suppress(docker.errors.DockerException):
                self._container.remove(force=True, v=True)
            self._container = None
        with contextlib.suppress(AttributeError):
            self._client.close()
        self._folder.cleanup()


class ContainerSandbox(Sandbox):
    """Containers for one package policy."""

    def __init__(self, packages: str = "stdlib", *, runtime: str | None = None, base: str | None = None) -> None:
        self._reaped = False
        resolved = resolve(packages)
        super().__init__(lambda: ContainerBox(resolved, runtime=runtime, base=base))

    def start(self) -> dict[str, Any]:
        """As for every sandbox; before the first container, those of slots that were killed are removed."""
        import docker.errors

        if not self._reaped:
            self._reaped = True
            with contextlib.suppress(docker.errors.DockerException):  # `super` says what is wrong with the daemon
                reap()
        return super().start()


def reap() -> int:
    """Removes containers of ours whose slot is gone, and directories of such slots; how many containers there were.

    Raises:
        docker.errors.DockerException: no daemon answers.
    """
    import docker
    import docker.errors

    client = docker.from_env(timeout=60)
    count = 0
    for container in client.containers.list(all=True, filters={"label": f"{image.LABEL}=box"}, ignore_removed=True):
        if _alive(container.labels.get(f"{image.LABEL}.pid", "")):
            continue
        with contextlib.suppress(docker.errors.NotFound):
            container.remove(force=True, v=True)
            count += 1
    client.close()
    for folder in glob.glob(os.path.join(tempfile.gettempdir(), f"{_FOLDER}*-*")):
        if not _alive(os.path.basename(folder).removeprefix(_FOLDER).partition("-")[0]):
            shutil.rmtree(folder, ignore_errors=True)
    return count


def _alive(pid: str) -> bool:
    return pid.isdigit() and os.path.exists(f"/proc/{pid}")
