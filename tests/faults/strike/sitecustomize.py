"""What strikes from within a process of a run: Python imports it at start, by PYTHONPATH.

The interpreter tells audit hooks of every file that is opened for writing, renamed or removed,
before it happens. A worker leaves its results to the run, so there files that are read count too.
Such an event has a place: which kind of process, which stage, and whether its
body, its commit to DVC or what lies between was under way, told by the functions on the stack. At
the chosen one the process is killed or the server is; or all events are written down. Nothing of
the project is patched but, where asked, the clock.
"""

import json
import os
import signal
import sys
import threading
import time

WRITES = ("open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.truncate")
INSIDE = ("artifacts", "dvc.lock", ".dvc", ".fettle")
INSIDE_OF_WORKERS = ("tasks", "models", "pipeline", ".searching")
PLACES = {
    ("memory.py", "_keep"): "commit",
    ("memory.py", "_restore"): "restore",
    ("body.py", "run_body"): "body",
    ("seat.py", "answer"): "piece",
}


def process_kind() -> str:
    """Which process of a run this is."""
    said = " ".join(sys.orig_argv)
    if "pipeline.runners.seat" in said:
        return "worker"
    if "prefect server" in said or "prefect.server" in said:
        return "server"
    return next((kind for kind in ("stage", "run") if f"flows.main {kind}" in said), "dvc")


class Strike:
    """Counts events, and strikes once."""

    def __init__(self, told: dict) -> None:
        self.told = told
        self.kind = process_kind()
        self.root = told["root"]
        self.stage = "none"
        self.count = 0
        self.busy = threading.local()

    def __call__(self, event: str, args: tuple) -> None:
        """What the interpreter calls."""
        if event not in WRITES or getattr(self.busy, "now", False):
            return
        self.busy.now = True
        try:
            self.look(event, args)
        finally:
            self.busy.now = False

    def look(self, event: str, args: tuple) -> None:
        """Write the event down or strike, where it is one that counts."""
        written = event != "open" or (args[2] or 0) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        if not written and self.kind != "worker":
            return
        path = args[1] if event in ("os.rename", "os.link") else args[0]
        if not isinstance(path, str | bytes | os.PathLike):
            return
        path = os.path.relpath(os.path.join(os.getcwd(), os.fsdecode(path)), self.root)
        if not path.startswith(INSIDE_OF_WORKERS if self.kind == "worker" else INSIDE):
            return
        stage, place = self.place()
        if record := self.told.get("record"):
            line = "\t".join((self.kind, stage, place, event, path)) + "\n"
            handle = os.open(record, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
            os.write(handle, line.encode())
            os.close(handle)
        if [self.kind, stage, place] == self.told.get("at"):
            self.count += 1
            if self.count == self.told["event"]:
                self.strike(f"{event} {path}")

    def place(self) -> tuple[str, str]:
        """The stage that is under way or was last, and what of it."""
        frame, place, stage = sys._getframe(2), "between", None
        while frame is not None:
            code = frame.f_code
            name = code.co_filename.rpartition("/")[2], code.co_name
            if place == "between" and name in PLACES:
                place = PLACES[name]
            if name == ("memory.py", "recall_or_run"):
                stage = frame.f_locals["name"]
            if name == ("seat.py", "answer"):
                # Unknown until the piece is opened; no other stage has any.
                stage = frame.f_locals.get("stage", "search")
            frame = frame.f_back
        self.stage = stage or self.stage
        return self.stage, place

    def strike(self, what: str) -> None:
        """Do the one thing that was told, at once or a little later; only ever once in a run."""
        try:
            handle = os.open(self.told["struck"], os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        except FileExistsError:
            return
        os.write(handle, what.encode())
        os.close(handle)
        delay = self.told.get("delay", 0.0)
        if delay:
            threading.Timer(delay, self.act).start()
        else:
            self.act()

    def act(self) -> None:
        """Kill a process, or set the clock."""
        action = self.told["action"]
        if action == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        elif action == "kill server":
            os.kill(self.told.get("pid") or self.own_server(), signal.SIGKILL)
        elif action == "clock":
            clock.ahead += self.told["seconds"]

    def own_server(self) -> int:
        """The process of the project's own Prefect server."""
        with open(os.path.join(self.root, ".fettle", "server.json")) as file:
            return json.load(file)["pid"]


class Clock:
    """The clock of this process, ahead of the machine's by so many seconds."""

    ahead = 0.0
    time, time_ns = staticmethod(time.time), staticmethod(time.time_ns)

    def set(self) -> None:
        """Put it in the place of the module's own."""
        time.time = lambda: self.time() + self.ahead
        time.time_ns = lambda: self.time_ns() + int(self.ahead * 1e9)
        from psutil import _pslinux

        # What Linux says of when it was started is the clock's time less the time since then.
        boot_time = _pslinux.boot_time
        _pslinux.boot_time = lambda: boot_time() + self.ahead


clock = Clock()
if given := os.environ.get("STRIKE"):
    told = json.loads(given)
    if told.get("action") == "clock":
        clock.ahead = told.get("ahead", 0.0)
        clock.set()
    sys.addaudithook(Strike(told))
