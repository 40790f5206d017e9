"""Environments of their own, over the packages of this one, into which packages are installed."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

from support import Done


class Environment:
    """A virtual environment that sees this one's packages, and what is installed into it.

    Its commands run one after the other in one process, whose imports cost seconds; `run` starts
    a process where that is the point.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        venv.create(folder / "venv", with_pip=False)
        self.bin = folder / "venv" / "bin"
        self.python = str(self.bin / "python")
        (self.site,) = (folder / "venv").glob("lib/python*/site-packages")
        outer = sysconfig.get_path("purelib")
        (self.site / "outer.pth").write_text(f"import site; site.addsitedir({outer!r})")
        self.environ = {**os.environ, "PATH": f"{self.bin}:{os.environ['PATH']}", "COLUMNS": "100"}
        self._process: subprocess.Popen[str] | None = None
        launcher = self.bin / "lossbench"
        launcher.write_text(
            f"#!{self.python}\nimport sys\nfrom lossbench.cli import main\n"
            "if __name__ == '__main__':\n    sys.exit(main())\n"
        )
        launcher.chmod(0o755)

    def install(self, *packages: Path, editable: bool = False) -> None:
        """Install folders or wheels with the real installer."""
        words = ["install", "-q", "--no-deps", "--no-build-isolation", "--force-reinstall"]
        named = [word for each in packages for word in (("-e",) * editable + (str(each),))]
        self.run(sys.executable, "-m", "pip", "--python", self.python, *words, *named)
        self.close()

    def run(self, *words: str, code: int = 0) -> str:
        """What a process of the environment writes."""
        done = subprocess.run(
            words, cwd=self.folder, env=self.environ, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    def command(self, *words: str) -> Done:
        """Run the command line in the environment."""
        if self._process is None:
            self._process = subprocess.Popen(
                [self.python, __file__],
                cwd=self.folder,
                env={**self.environ, "PYTHONPATH": str(Path(__file__).parent)},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        assert self._process.stdin
        assert self._process.stdout
        print(json.dumps(words), file=self._process.stdin, flush=True)
        return Done(*json.loads(self._process.stdout.readline()))

    def lossbench(self, *words: str, code: int = 0) -> str:
        """What a command writes that ends with this code."""
        done = self.command(*words)
        assert done.code == code, done
        return done.out + done.err

    def close(self) -> None:
        """End the process of the commands; the next one starts another."""
        if self._process:
            self._process.communicate()
            self._process = None


def serve() -> None:
    """In the environment: run the commands that come in, a line of JSON each."""
    from lossbench.cli import main

    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what workers write is no answer
    for line in sys.stdin:
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = main(json.loads(line))
        print(json.dumps([code, out.getvalue(), err.getvalue()]), file=answers, flush=True)


if __name__ == "__main__":
    serve()
