"""Keys: hashes of all that a file in the store depends on."""

import hashlib
import json
from typing import Any

LOOKS = 8
"""Of the looks at a model that is opened. A new or stricter one raises this number: audits that
passed without that look are due then."""


def key_of(**causes: Any) -> str:
    """sha256 of `causes`: plain JSON values, no time and no uuid among them."""
    text = json.dumps(causes, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()
