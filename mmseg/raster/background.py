"""Reading ahead and writing behind, so that the model need not wait for either."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def read_ahead(read: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """Yield `read(item)` in order; a thread reads the next while the caller uses this one."""
    with ThreadPoolExecutor(1) as thread:
        waiting: deque[Future] = deque()
        for item in items:
            waiting.append(thread.submit(read, item))
            if len(waiting) == 2:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


class WriteBehind:
    """Call `write` in a thread, one call at a time."""

    def __init__(self, write: Callable[..., None]) -> None:
        self.write = write
        self.thread = ThreadPoolExecutor(1)
        self.last: Future | None = None

    def __call__(self, *arguments: object) -> None:
        """Start a call, after the one before is done."""
        self.wait()
        self.last = self.thread.submit(self.write, *arguments)

    def wait(self) -> None:
        """Wait for the call under way, and raise what it raised."""
        if self.last is not None:
            self.last.result()

    def __enter__(self) -> "WriteBehind":
        return self

    def __exit__(self, *_: object) -> None:
        self.thread.shutdown()
