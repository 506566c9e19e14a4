"""The parent's end of the conversation with the worker of a side."""

import json
import os
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any

from mmseg.errors import UserError, reason


class Child:
    """A worker process; `UserError` with its last words when it fails.

    See `workers/protocol.py` for what goes over the pipes.
    """

    def __init__(
        self, name: str, command: Sequence[str], job: Mapping, environment: Mapping[str, str]
    ) -> None:
        self.name = name
        self._log = tempfile.TemporaryFile("w+", errors="replace")  # noqa: SIM115
        read, write = os.pipe()
        self._answers = os.fdopen(read)
        self._process = subprocess.Popen(
            [*command, str(write)],
            stdin=subprocess.PIPE,
            stdout=self._log,
            stderr=self._log,
            env=environment,
            pass_fds=[write],
            text=True,
            bufsize=1,
        )
        os.close(write)
        self._send(job)

    def answer(self) -> dict[str, Any]:
        """Wait for the answer to the job or to the action before."""
        line = self._answers.readline()
        if not line:
            raise UserError(f"{self.name}: {self._last_words()}")
        answer = json.loads(line)
        if "error" in answer:
            kind = "" if answer["kind"] == "UserError" else f"{answer['kind']}: "
            raise UserError(f"{self.name}: {kind}{reason(Exception(answer['error']))}")
        return answer

    def run(self, action: str) -> dict[str, Any]:
        """Let the worker run an action; return its `seconds`, memory and what it adds."""
        self._send({"do": action})
        return self.answer()

    def __enter__(self) -> "Child":
        return self

    def __exit__(
        self, kind: type | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the worker: it leaves when nobody asks any more."""
        try:
            self._process.communicate(timeout=20)
        except (subprocess.TimeoutExpired, BrokenPipeError):
            self._process.kill()
            self._process.wait()
        self._answers.close()
        self._log.close()

    def _send(self, message: Mapping) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(message) + "\n")
        except BrokenPipeError:
            raise UserError(f"{self.name}: {self._last_words()}") from None

    def _last_words(self) -> str:
        code = self._process.wait()
        self._log.seek(0)
        lines = [line for line in self._log.read().splitlines() if line.strip()]
        return f"the process ended with code {code} ({lines[-1] if lines else 'it said nothing'})"
