"""The Merkle tree of RFC 6962: one digest that stands for rows in their order. A leaf is never hashed as a node is."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

_LEAF, _NODE = b"\x00", b"\x01"


def leaf_digest(row: bytes) -> bytes:
    """The 32 bytes that stand for a row."""
    return hashlib.sha256(_LEAF + row).digest()


def root_of(leaves: Iterable[bytes]) -> bytes:
    """The 32 bytes that stand for all rows, from what `leaf_digest` made of each; of no rows the digest of nothing."""
    subtrees: list[tuple[int, bytes]] = []
    """(height, root) of whole subtrees, each of them higher than the next."""
    for leaf in leaves:
        height, root = 0, leaf
        while subtrees and subtrees[-1][0] == height:
            root = _node(subtrees.pop()[1], root)
            height += 1
        subtrees.append((height, root))
    if not subtrees:
        return hashlib.sha256().digest()
    _, root = subtrees.pop()
    while subtrees:
        root = _node(subtrees.pop()[1], root)
    return root


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(_NODE + left + right).digest()
