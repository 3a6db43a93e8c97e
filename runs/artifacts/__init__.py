"""Where the bytes of files are kept: each once per tenant, under its digest.

`keeping` stores and verifies over any storage of Django's; `directory` is the storage on disk;
`here` is what the settings say.
"""

from runs.artifacts.keeping import LARGEST, Artifacts

__all__ = ["LARGEST", "Artifacts"]
