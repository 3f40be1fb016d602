"""Loads archives with torch alone, as `python -m plain_torch FILE ...`: what must not be done."""

import logging
import sys
import warnings
from contextlib import suppress

import torch


def load_and_run(file: str) -> None:
    """Loads the archive as torch does, and gives the network images, whatever goes wrong."""
    with suppress(Exception):
        torch.export.load(file).module()(torch.zeros(2, 3, 9, 9))


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    for path in sys.argv[1:]:
        load_and_run(path)
