"""The command of an installed package: segnext train CONFIG, and likewise every other tool."""

import ast
import runpy
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
SHORT = {"map": "map_orthophoto"}
NO_COMMANDS = ("__main__", "common")


def commands() -> dict[str, Path]:
    """Return the file of each tool, by the name of its command."""
    files = {path.stem: path for path in HERE.glob("*.py") if path.stem not in NO_COMMANDS}
    short = {name: files.pop(tool) for name, tool in SHORT.items()}
    return dict(sorted((files | short).items()))


def summary(path: Path) -> str:
    """Return the first line of the docstring of a tool, without its command line."""
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return text.partition("\n")[0].partition(":")[0]


def main() -> None:
    known = commands()
    name = sys.argv[1].replace("-", "_") if len(sys.argv) > 1 else "__help"
    if name in known:
        sys.path.insert(0, str(HERE))
        del sys.argv[1]
        runpy.run_path(str(known[name]), run_name="__main__")
    elif name in ("__help", "_h"):
        sys.stdout.write("usage: segnext COMMAND ...\n\ncommands (each has --help):\n")
        sys.stdout.writelines(f"  {name:20} {summary(path)}\n" for name, path in known.items())
    else:
        sys.exit(f"error: {sys.argv[1]}: no such command; there are {', '.join(known)}")


if __name__ == "__main__":
    main()
