"""Print a config with its bases merged: python tools/print_config.py CONFIG [--cfg-options ...]

The printed config is in mmengine's dialect, also if the file is one of MMSegmentation 0.x.
"""

import sys

from common import config_parser, read_config

from mmengine.config import Config

from mmseg.compat.legacy import is_legacy
from mmseg.errors import one_line_errors


@one_line_errors
def main() -> None:
    parser = config_parser(__doc__)
    text = "first print the dialect of the file"
    parser.add_argument("--dialect", action="store_true", help=text)
    args = parser.parse_args()
    config = read_config(args)
    if args.dialect:
        old = is_legacy(Config.fromfile(args.config))
        name = "MMSegmentation 0.x, translated" if old else "mmengine (MMSegmentation 1.x)"
        sys.stdout.write(f"# {args.config} is in the dialect of {name}.\n")
    sys.stdout.write(config.pretty_text)


if __name__ == "__main__":
    main()
