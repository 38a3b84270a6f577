"""Arms the failpoints of scheduling.cluster.failpoints, and tells which processes wait at one."""

from __future__ import annotations

from pathlib import Path

from scheduling.testing.processes import until

WITHIN = 10.0  # seconds


class Points:
    """A folder of failpoints, for the clusters that are started while the environment names it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()

    def arm(self, name: str, wanted: str) -> None:
        """From now on `wanted` happens at a point, as "kill" or, the third time from now, "kill@3"."""
        (self.folder / f"{name}.hits").unlink(missing_ok=True)
        new = self.folder / f"{name}.new"
        new.write_text(wanted)
        new.replace(self.folder / name)

    def disarm(self, name: str) -> None:
        """From now on nothing happens there; who pauses there goes on."""
        (self.folder / name).unlink(missing_ok=True)
        for file in self._paused(name):
            file.unlink(missing_ok=True)

    def hits(self, name: str) -> int:
        """How often a point with a number, as "pause@1", has been passed since it was armed."""
        file = self.folder / f"{name}.hits"
        return file.stat().st_size if file.exists() else 0

    def reached(self, name: str) -> int:
        """Wait until a process pauses at a point, and give its pid."""
        until(lambda: self._paused(name), WITHIN, lambda: f"nobody came to {name}")
        return int(self._paused(name)[0].suffix[1:])

    def resume(self, name: str, pid: int) -> None:
        """Let a process that pauses at a point go on."""
        (self.folder / f"{name}.paused.{pid}").unlink()

    def _paused(self, name: str) -> list[Path]:
        return sorted(self.folder.glob(f"{name}.paused.*"))
