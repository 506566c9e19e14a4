"""How data sets write their classes and colours down."""


def names(text: str) -> tuple[str, ...]:
    """Split "wall, traffic light" at the commas."""
    return tuple(name.strip() for name in text.replace("\n", " ").split(","))


def colours(text: str) -> list[tuple[int, ...]]:
    """Read hexadecimal RRGGBB separated by spaces."""
    return [tuple(bytes.fromhex(colour)) for colour in text.split()]
