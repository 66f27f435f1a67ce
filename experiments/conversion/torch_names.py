"""Names of PyTorch's tensors, as the module that was trained calls them."""

import re


def plain_name(name: str) -> str:
    """A tensor's name without what wrappers put before it.

    DistributedDataParallel calls what it wraps `module`, torch.compile `_orig_mod`, also inside.
    """
    return re.sub(r"^(module\.)+", "", re.sub(r"(^|(?<=\.))_orig_mod\.", "", name))
