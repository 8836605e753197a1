"""Adapters that are at a server for a while: loaded where they are not there, and unloaded afterwards."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from hallmark.client.models import listed
from hallmark.client.wire import WireClient
from hallmark.specs.cell import Cell
from hallmark.specs.weights import LoraAdapter


def place_of(cell: Cell, adapter: LoraAdapter) -> str:
    """What a server is told to load: a folder, or a repository's name."""
    return str(cell.beside_spec(adapter.path)) if adapter.path else adapter.repo


@contextmanager
def loaded(client: WireClient, places: Mapping[str, str], *, by: WireClient | None = None) -> Iterator[None]:
    """Have these served meanwhile (name -> place); those that were served before stay. CheckFailed where one does not load.

    `by`: who loads them, where that is another one than the server that `client` asks.
    """
    loads = by or client
    served = {model.get("id") for model in listed(client)}
    added: list[str] = []
    try:
        for name, place in places.items():
            if name not in served:
                loads.post("/v1/load_lora_adapter", {"lora_name": name, "lora_path": place}).require(200)
                added.append(name)
        yield
    finally:
        for name in added:
            loads.post("/v1/unload_lora_adapter", {"lora_name": name})
