"""A run as a stream of events, for programs that follow it."""

from fmnist_sweep.observers.json_lines import EVENTS, JsonEvents

__all__ = ["EVENTS", "JsonEvents"]
