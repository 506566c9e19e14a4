"""The NMF rank of a checkpoint, where its user knows better than its config."""

from mmengine.config import Config


def use_rank(config: Config, rank: int | None) -> None:
    """Build the model with this NMF rank, if any, and load checkpoints as trained with it."""
    if rank is not None:
        config.model.decode_head.setdefault("ham_kwargs", {})["MD_R"] = rank
        config.load_cfg = {**(config.get("load_cfg") or {}), "nmf_rank": rank}
