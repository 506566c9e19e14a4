"""The error a person can act on, and how a command line ends with it."""

import difflib
import functools
import sys
from collections.abc import Callable, Iterable, Mapping


class UserError(ValueError):
    """Something the user can mend: one line that says what is wrong where, and what to do."""


def shorten(text: str, length: int = 100) -> str:
    """Cut a text out of a file, which may be damaged, to what fits an error message."""
    return text if len(text) <= length else text[: length - 3] + "..."


def reason(error: BaseException, length: int = 200) -> str:
    """Say in one line what another library's exception says in many."""
    return shorten(" ".join(str(error).split()) or type(error).__name__, length)


def did_you_mean(name: str, known: Iterable[str], cutoff: float = 0.6) -> str:
    """Return "; did you mean ...?" with the nearest of the known names, or nothing."""
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=cutoff)
    return f"; did you mean {close[0]!r}?" if close else ""


class NonFiniteLoss(ArithmeticError):
    """A loss that is NaN or infinite, in this process or another one."""

    def __init__(self, losses: Mapping[str, float]) -> None:
        super().__init__(f"a loss is not finite: {losses}")
        self.losses = losses


def one_line_errors(main: Callable[[], None]) -> Callable[[], None]:
    """End a command in one line and with exit code 1 on a `UserError` or Ctrl-C, no traceback."""

    @functools.wraps(main)
    def wrapper() -> None:
        try:
            main()
        except UserError as error:
            # A loader's worker hands on a whole traceback: its last line is the message.
            message = str(error).strip().splitlines()[-1]
            sys.exit("error: " + message.removeprefix(f"{UserError.__module__}.UserError: "))
        except KeyboardInterrupt:
            sys.exit("interrupted")

    return wrapper
