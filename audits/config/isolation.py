"""Isolation: the walls around the process of a model. Light: that process imports this first."""

from typing import Literal

Isolation = Literal["process", "bubblewrap", "docker", "none"]
