"""What runs in a side's own process: `ours.py` here, `onedl.py` in the environment of the peer.

The peer's environment has another package of the name `mmseg`. `onedl.py` is therefore run by its
path, and `protocol.py` and `actions.py`, which both sides share, import only the standard library,
torch and mmengine.
"""
