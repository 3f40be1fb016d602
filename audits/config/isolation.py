"""Isolation: what keeps the process of a model in. Light: that process imports this first."""

from typing import Literal

Isolation = Literal["process", "bubblewrap", "docker", "none"]
