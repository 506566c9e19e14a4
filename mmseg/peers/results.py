"""Results and pictures as code for MMSegmentation asks for them."""


def register_all_modules(init_default_scope: bool = True) -> None:
    """Do nothing: importing `mmseg` registers all modules."""
