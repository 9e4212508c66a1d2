"""What stands between the programs of a box and the rest of the machine."""

from __future__ import annotations

from typing import Any, NamedTuple

from sandbox import isolate, landlock, seccomp


class Walls(NamedTuple):
    """The walls of one box."""

    name: str
    """`namespaces`, `bwrap`, `container`, `landlock` or `none`."""
    ruleset: int | None = None
    """For `landlock`: the rule set that each program's process is put under."""

    @classmethod
    def of(cls, settings: dict[str, Any]) -> Walls:
        """The walls that a zygote's settings ask for."""
        if settings["walls"] != "landlock":
            return cls(settings["walls"])
        return cls("landlock", landlock.build(settings["readable"]))

    @property
    def owns_namespace(self) -> bool:
        """Whether every other process that this one sees belongs to the box, and its scratch directories too."""
        return self.name in ("namespaces", "bwrap", "container")

    @property
    def filtered(self) -> bool:
        """Whether a filter of system calls is due."""
        return self.name != "none"

    def close_in(self) -> None:
        """The wall around one program, where the box does not own its namespace."""
        isolate.die_with_parent()  # no namespace ends it together with the zygote
        if self.ruleset is not None:
            landlock.restrict(self.ruleset)
            seccomp.install(seccomp.assemble_lonely(signals=landlock.scopes_signals()))

    def layers(self) -> list[str]:
        """The walls in words, for reports."""
        first = {
            "namespaces": ["namespaces: user, pid, mount, network, ipc, uts, cgroup", "read-only root"],
            "bwrap": ["bubblewrap: user, pid, mount, network, ipc, uts, cgroup", "read-only root"],
            "container": ["container: own user, no network, pids and memory limits", "read-only root"],
            "landlock": [
                f"landlock {landlock.version()}: reads the libraries, writes nothing",
                "no processes, no sockets",
            ],
            "none": ["NO WALLS: programs can do what you can"],
        }[self.name]
        filtered = ["seccomp deny-list"] if self.filtered else []
        return [*first, "no capabilities", "no_new_privs", *filtered, "resource limits"]
