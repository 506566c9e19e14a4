"""Read config files, with errors that say which key is wrong."""

from mmseg.config.loading import load_config, translate_config

__all__ = ["load_config", "translate_config"]
