"""Print a config with its bases merged: python tools/print_config.py CONFIG [--cfg-options ...]

The printed config is in mmengine's dialect, also if the file is one of MMSegmentation 0.x.
"""

from common import read_config, tool_parser

from mmengine.config import Config

from mmseg.compat.legacy import is_legacy
from mmseg.errors import one_line_errors


@one_line_errors
def main() -> None:
    parser = tool_parser(__doc__, "config")
    parser.add_argument("--dialect", action="store_true", help="first print the file's dialect")
    args = parser.parse_args()
    config = read_config(args)
    if args.dialect:
        old = is_legacy(Config.fromfile(args.config))
        name = "MMSegmentation 0.x, translated" if old else "mmengine (MMSegmentation 1.x)"
        print(f"# {args.config} is in the dialect of {name}.")
    print(config.pretty_text, end="")


if __name__ == "__main__":
    main()
