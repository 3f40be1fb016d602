"""Keys: hashes of all that figures depend on."""

import hashlib
import json
from typing import Any


def key_of(**causes: Any) -> str:
    """sha256 of everything a part depends on; plain JSON values, no time and no uuid."""
    text = json.dumps(causes, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()
