"""Boxes in Docker containers: what the daemon was told, and that nothing of them stays behind."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sandbox import codec, image, wire
from sandbox.container import MEMORY_BYTES, ContainerSandbox, reap
from sandbox.program import BoxLost, Limits, Program

pytestmark = pytest.mark.docker

REPOSITORY = Path(__file__).parents[2]
PATIENCE_S = 60.0
PID = f"{image.LABEL}.pid"


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    docker = pytest.importorskip("docker")
    try:
        connected = docker.from_env(timeout=60)
        connected.ping()
    except docker.errors.DockerException as error:
        pytest.skip(f"needs a running Docker daemon: {error}")
    with contextlib.closing(connected):
        yield connected


@pytest.fixture
def own(client: Any) -> Iterator[ContainerSandbox]:
    """A sandbox that a test may break."""
    with ContainerSandbox() as sandbox:
        yield sandbox


def containers(client: Any, pid: int | None = None) -> list[Any]:
    """The containers of one slot, in whatever state."""
    filters = {"label": f"{PID}={pid or os.getpid()}"}
    return list(client.containers.list(all=True, filters=filters, ignore_removed=True))


def wait_until(condition: Callable[[], object], what: str) -> None:
    """Returns once `condition` is true."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, f"still waiting for {what} after {PATIENCE_S:.0f} s"
        time.sleep(0.01)


# ---------------------------------------------------------------------------------------------------------------------
# What the daemon was told
# ---------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def attributes(client: Any) -> Iterator[dict[str, Any]]:
    """The daemon's own description of a container of ours."""
    with ContainerSandbox() as sandbox:
        sandbox.start()
        (container,) = containers(client)
        container.reload()
        yield container.attrs


def test_a_container_has_no_capabilities_and_gains_none(attributes: dict[str, Any]) -> None:
    host = attributes["HostConfig"]

    assert host["CapDrop"] == ["ALL"]
    assert not host["CapAdd"]
    assert not host["Privileged"]
    assert host["SecurityOpt"] == ["no-new-privileges"]
    assert attributes["Config"]["User"].split(":")[0] not in ("", "0", "root")


def test_a_container_has_no_network(attributes: dict[str, Any]) -> None:
    networks = attributes["NetworkSettings"]["Networks"]

    assert attributes["HostConfig"]["NetworkMode"] == "none"
    assert {name: facts["IPAddress"] for name, facts in networks.items()} == {"none": ""}
    assert not attributes["HostConfig"]["PortBindings"]


def test_a_container_sees_one_directory_of_the_host_and_writes_to_none(attributes: dict[str, Any]) -> None:
    (mount,) = attributes["Mounts"]

    assert attributes["HostConfig"]["ReadonlyRootfs"]
    assert (mount["Destination"], mount["RW"]) == ("/control", False)


def test_a_container_has_limits_and_goes_when_its_first_process_does(attributes: dict[str, Any]) -> None:
    host = attributes["HostConfig"]

    assert (host["Memory"], host["MemorySwap"]) == (MEMORY_BYTES, MEMORY_BYTES)
    assert host["PidsLimit"] == 64
    assert host["AutoRemove"]


def test_a_container_says_whose_it_is(attributes: dict[str, Any]) -> None:
    labels = attributes["Config"]["Labels"]

    assert (labels[image.LABEL], labels[PID]) == ("box", str(os.getpid()))


def test_an_image_is_built_once(client: Any) -> None:
    first = image.ensure(client)
    before = {found.id for found in client.images.list(filters={"label": f"{image.LABEL}=image"})}

    assert image.ensure(client) == first
    assert {found.id for found in client.images.list(filters={"label": f"{image.LABEL}=image"})} == before


# ---------------------------------------------------------------------------------------------------------------------
# What stays behind
# ---------------------------------------------------------------------------------------------------------------------


def test_no_container_is_left_of_a_closed_sandbox(client: Any) -> None:
    before = {container.id for container in containers(client)}
    with ContainerSandbox() as sandbox:
        sandbox.start()
        (new,) = {container.id for container in containers(client)} - before

    wait_until(lambda: new not in {container.id for container in containers(client)}, "the end of a container")


def test_a_killed_container_is_a_lost_box_and_the_next_program_has_a_fresh_one(
    client: Any, ask: Any, own: ContainerSandbox
) -> None:
    before = {container.id for container in containers(client)}
    session = own.open(Program(source="def f(): pass"), Limits(), stay=True)
    assert session.receive()[0] == wire.READY
    (container,) = [container for container in containers(client) if container.id not in before]

    container.kill()

    for wait in (session.receive, session.end):
        with pytest.raises(BoxLost):
            wait()
    assert ask("def f():\n    return 1", box=own) == 1
    wait_until(lambda: container.id not in {found.id for found in containers(client)}, "the end of a container")


SLOT = """
import sys
sys.path.insert(0, sys.argv[1])
from sandbox.container import ContainerSandbox
from sandbox.program import Limits, Program
sandbox = ContainerSandbox()
session = sandbox.open(Program(source="def f(): pass"), Limits(), stay=True)
session.receive()
print("ready", flush=True)
sys.stdin.read()
"""


def test_a_slot_that_is_killed_leaves_no_container_behind(client: Any) -> None:
    slot = subprocess.Popen(
        [sys.executable, "-c", SLOT, str(REPOSITORY)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with slot:
        assert slot.stdout is not None
        assert slot.stdout.readline() == "ready\n"
        assert len(containers(client, slot.pid)) == 1

        os.kill(slot.pid, signal.SIGKILL)

        wait_until(lambda: not containers(client, slot.pid), "the end of a container")
    with ContainerSandbox() as successor:
        successor.start()
        assert not list(Path(tempfile.gettempdir()).glob(f"harness-box-{slot.pid}-*"))


def test_reaping_removes_containers_whose_slot_is_gone_and_no_others(client: Any, own: ContainerSandbox) -> None:
    own.start()
    kept = {container.id for container in containers(client)}
    with subprocess.Popen([sys.executable, "-S", "-c", ""]) as gone:
        gone.wait()
    stale = client.containers.run(
        image.ensure(client),
        [image.interpreter(), "-S", "-c", "import time; time.sleep(600)"],
        detach=True,
        auto_remove=True,
        network_mode="none",
        labels={image.LABEL: "box", PID: str(gone.pid)},
    )
    try:
        assert reap() >= 1
        wait_until(lambda: not containers(client, gone.pid), "the end of a container")
        assert {container.id for container in containers(client)} == kept
    finally:
        with contextlib.suppress(Exception):
            stale.remove(force=True)


# ---------------------------------------------------------------------------------------------------------------------
# Programs in it
# ---------------------------------------------------------------------------------------------------------------------


def test_a_program_cannot_speak_to_the_slot_in_the_place_of_its_box(ask: Any, own: ContainerSandbox) -> None:
    source = """
import os, socket
def f():
    refused = []
    for kind in (socket.SOCK_SEQPACKET, socket.SOCK_STREAM, socket.SOCK_DGRAM):
        try:
            socket.socket(socket.AF_UNIX, kind).connect("/control/control")
        except OSError:
            refused.append(kind)
    try:
        os.unlink("/control/control")
    except OSError:
        refused.append("unlink")
    return len(refused)
"""
    assert ask(source, box=own) == 4
    assert ask("def f():\n    return 1", box=own) == 1


def test_numpy_can_be_had_in_a_container(ask: Any, client: Any) -> None:
    pytest.importorskip("numpy")
    source = "import numpy\ndef f():\n    return numpy.random.rand(3), numpy.linalg.inv(numpy.eye(2)) @ [1, 2]"
    with ContainerSandbox("numpy") as sandbox:
        drawn = {repr(ask(source, box=sandbox)) for _ in range(2)}

    assert len(drawn) == 1


def test_without_numpy_in_the_policy_a_container_has_none(ask: Any, own: ContainerSandbox) -> None:
    assert ask.outcome("import numpy\ndef f(): pass", box=own).value[1] == "ModuleNotFoundError"


@pytest.fixture
def foreign(client: Any) -> Iterator[str]:
    """An image that is not ours by its labels and that has a `python3` where people expect one."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as file:
        link = tarfile.TarInfo("usr/bin/python3")
        link.type, link.linkname = tarfile.SYMTYPE, image.interpreter()
        if image.interpreter() != "/usr/bin/python3":
            file.addfile(link)
    container = client.containers.create(image.ensure(client), ["none"])
    try:
        container.put_archive("/", archive.getvalue())
        made = container.commit("harness-test-base", changes=f"LABEL {image.LABEL}=test")
    finally:
        container.remove(force=True)
    yield "harness-test-base:latest"
    client.images.remove(made.id, force=True)


def test_an_image_of_somebody_else_can_be_the_base(ask: Any, foreign: str) -> None:
    with ContainerSandbox(base=foreign) as sandbox:
        assert sandbox.start()["name"] == "docker"
        assert ask("def f(x):\n    return x + 1", 1, box=sandbox) == 2


def test_a_base_that_does_not_exist_is_refused_with_its_name(client: Any) -> None:
    from sandbox.program import SandboxUnavailable

    with pytest.raises(SandboxUnavailable, match="no-such-image"):
        ContainerSandbox(base="no-such-image-of-ours").start()


def test_values_cross_as_they_do_elsewhere(own: ContainerSandbox) -> None:
    value = {"a": [1, 2.5, None, True], (1, 2): {3, 4}, "text": "\udcff\0"}
    session = own.open(Program(source="def f(x):\n    return x"), Limits(), [("f", codec.encode(((value,), {})))])
    frames = [session.receive() for _ in range(2)]
    session.end()

    assert codec.decode(frames[1][1]) == value
