"""A PostgreSQL of one's own on a free loopback port, from the installed binaries, for a while.

Durable as in production: fsync and synchronous_commit are on. It can be killed and started again,
so that what a crash leaves behind can be looked at.
"""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

OPTIONS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "shared_buffers": "512MB",
    "max_wal_size": "4GB",
    "checkpoint_timeout": "15min",
    "wal_compression": "lz4",
    "max_connections": "100",
}


class OwnPostgres:
    """A running server; ``url`` is the address of its (empty) database ``kakou``."""

    def __init__(self, folder: Path) -> None:
        """Make the cluster; :meth:`start` runs it."""
        self._binaries = _binaries()
        self._as_user, owner = _unprivileged()
        self._data = folder / "data"
        self._log = folder / "log"
        if owner is not None:
            os.chown(folder, owner.pw_uid, owner.pw_gid)
        self._run("initdb", "-D", self._data, "-U", "kakou", "-A", "trust", "-E", "UTF8",
                  "--locale=C.UTF-8")  # fmt: skip
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self.start()
        self._run("createdb", "-h", "127.0.0.1", "-p", str(self.port), "-U", "kakou", "kakou")
        self.url = f"postgresql+psycopg2://kakou@127.0.0.1:{self.port}/kakou"

    def start(self) -> None:
        """Start it and wait until it answers; after a crash that includes its recovery."""
        options = " ".join(f"-c {k}='{v}'" for k, v in (OPTIONS | {"port": self.port}).items())
        for patience in range(20, -1, -1):
            try:
                self._run("pg_ctl", "-D", self._data, "-l", self._log, "-w", "-t", "120",
                          "-o", options, "start")  # fmt: skip
            except subprocess.CalledProcessError:
                if not patience:
                    raise
                time.sleep(0.5)  # a killed server's last processes still hold its memory
            else:
                return

    def kill(self) -> None:
        """End the whole server at once (SIGKILL), as a power cut would."""
        pid = int((self._data / "postmaster.pid").read_text().split()[0])
        children = subprocess.run(
            ["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=False
        ).stdout.split()
        for victim in [pid, *map(int, children)]:
            try:
                os.kill(victim, signal.SIGKILL)
            except ProcessLookupError:
                continue

    def stop(self) -> None:
        """Stop it at once."""
        subprocess.run(
            [*self._as_user, self._binaries / "pg_ctl", "-D", self._data, "-m", "immediate",
             "stop"],
            check=False, capture_output=True, cwd=self._data.parent,
        )  # fmt: skip

    def cpu_s(self) -> float:
        """Processor seconds that its processes have taken; of those that run."""
        return cpu_s_of(int((self._data / "postmaster.pid").read_text().split()[0]))

    def version(self) -> str:
        """As ``postgres --version`` says."""
        said = subprocess.run(
            [self._binaries / "postgres", "--version"], capture_output=True, text=True, check=True
        )
        return said.stdout.strip()

    def _run(self, program: str, *args: str | Path) -> None:
        subprocess.run(
            [*self._as_user, self._binaries / program, *args],
            check=True, capture_output=True, cwd=self._data.parent,
        )  # fmt: skip


@contextmanager
def own_postgres() -> Iterator[OwnPostgres]:
    """Run one, and remove it with all its data afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="kakou-postgres-"))
    server: OwnPostgres | None = None
    try:
        server = OwnPostgres(folder)
        yield server
    finally:
        if server is not None:
            server.stop()
        shutil.rmtree(folder, ignore_errors=True)


def cpu_s_of(pid: int) -> float:
    """Processor seconds that a process and its children have taken; of those that run."""
    spent = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:  # it has just ended
            continue
        if pid in {int(stat.parent.name), int(fields[1])}:
            spent += int(fields[11]) + int(fields[12])
    return spent / os.sysconf("SC_CLK_TCK")


def _binaries() -> Path:
    found = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3])
    )
    if found:
        return found[-1].parent
    on_path = shutil.which("initdb")
    if on_path is None:
        raise SystemExit("needs PostgreSQL's server binaries (Debian: apt install postgresql)")
    return Path(on_path).parent


def _unprivileged() -> tuple[list[str], pwd.struct_passwd | None]:
    """How to run a program as somebody other than root, and who that is."""
    if os.geteuid() != 0:
        return [], None
    owner = pwd.getpwnam("postgres")
    return [
        "setpriv",
        f"--reuid={owner.pw_uid}",
        f"--regid={owner.pw_gid}",
        "--clear-groups",
    ], owner
