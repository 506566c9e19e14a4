"""The error that a user can act on, and how a command ends with it."""

import difflib
import functools
import sys
from collections.abc import Callable, Iterable, Mapping


class UserError(ValueError, AssertionError):
    """A mistake that the user can correct.

    Its one line says which file or key is wrong, why, and what to do. It is an `AssertionError`
    too, because MMSegmentation asserts what its arguments must be.
    """


def shorten(text: str, length: int = 100) -> str:
    """Cut a text to a length that fits an error message; it may come from a damaged file."""
    return text if len(text) <= length else text[: length - 3] + "..."


def reason(error: BaseException, length: int = 200) -> str:
    """Return the message of another library's exception in one line."""
    return shorten(" ".join(str(error).split()) or type(error).__name__, length)


def did_you_mean(name: str, known: Iterable[str], cutoff: float = 0.6) -> str:
    """Return "; did you mean ...?" with the nearest of the known names, or an empty text."""
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=cutoff)
    return f"; did you mean {close[0]!r}?" if close else ""


class NonFiniteLoss(ArithmeticError):
    """A loss that is NaN or infinite, in this process or another one."""

    def __init__(self, losses: Mapping[str, float]) -> None:
        super().__init__(f"a loss is not finite: {losses}")
        self.losses = losses


def one_line_errors(main: Callable[[], None]) -> Callable[[], None]:
    """Let a command end with one line and exit code 1 on a `UserError` or Ctrl-C."""

    @functools.wraps(main)
    def wrapper() -> None:
        try:
            main()
        except UserError as error:
            # An error in a loader's worker arrives as a whole traceback. Its last line tells why.
            message = str(error).strip().splitlines()[-1]
            sys.exit("error: " + message.removeprefix(f"{UserError.__module__}.UserError: "))
        except KeyboardInterrupt:
            sys.exit("interrupted")

    return wrapper
