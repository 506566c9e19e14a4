"""The NMF rank of a checkpoint, if its user knows it better than its config."""

from mmengine.config import Config


def use_rank(config: Config, rank: int | None) -> None:
    """Let a config build its model with this rank and load checkpoints as trained with it.

    None changes nothing.
    """
    if rank is not None:
        config.model.decode_head.setdefault("ham_kwargs", {})["MD_R"] = rank
        config.load_cfg = {**(config.get("load_cfg") or {}), "nmf_rank": rank}
