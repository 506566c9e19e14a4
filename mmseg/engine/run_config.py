"""The config of a run, which keeps its text."""

import copy

from mmengine.config import Config


class RunConfig(Config):
    """A copy of a `Config` that formats its text again only when its content has changed.

    mmengine's runner stores the text in every checkpoint, and formatting takes half a second.
    """

    def __init__(self, config: Config) -> None:
        self.__dict__.update(vars(copy.deepcopy(config)))

    @property
    def pretty_text(self) -> str:
        content = repr(self._cfg_dict)
        known, text = self.__dict__.get("_formatted", (None, ""))
        if content != known:
            text = super().pretty_text
            self.__dict__["_formatted"] = content, text
        return text
