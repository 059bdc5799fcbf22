"""Runs every function of the calling script whose name begins with `story_`, in order."""

import io
import sys
import tarfile
import time
import traceback

import docker


def tell(script):
    """Tells all stories of a module; the program fails when one of them does."""
    client = docker.from_env(version="auto", timeout=30)
    failed = 0
    for name, story in list(script.items()):
        if not name.startswith("story_"):
            continue
        begun = time.monotonic()
        try:
            story(client)
            print(f"ok      {name} ({time.monotonic() - begun:.2f} s)")
        except Exception:
            failed += 1
            print(f"FAILED  {name}\n{traceback.format_exc()}")
        for container in client.containers.list(all=True):
            container.remove(force=True, v=True)
    sys.exit(1 if failed else 0)


def refused(kind, words, call):
    """The error that a call ends with: of that kind, with those words."""
    try:
        call()
    except kind as error:
        assert words in str(error), f"{words!r} is not in {error}"
        return error
    raise AssertionError(f"{call} was not refused")


def tar_of(files):
    """A tar of files by name."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def untar(pieces):
    """Files of a tar by name."""
    with tarfile.open(fileobj=io.BytesIO(b"".join(pieces))) as tar:
        return {m.name: tar.extractfile(m).read() if m.isfile() else None for m in tar.getmembers()}


def until(condition, what):
    """Waits for something that comes by itself."""
    end = time.monotonic() + 15
    while not condition():
        assert time.monotonic() < end, f"{what} did not come"
        time.sleep(0.02)
