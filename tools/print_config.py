"""Print a config with its bases merged: python tools/print_config.py CONFIG [--cfg-options ...]"""

import sys

from common import config_parser, read_config

from mmseg.errors import one_line_errors


@one_line_errors
def main() -> None:
    args = config_parser(__doc__).parse_args()
    sys.stdout.write(read_config(args).pretty_text)


if __name__ == "__main__":
    main()
