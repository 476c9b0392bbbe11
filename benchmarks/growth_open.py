"""Time what fit and train do before their work: python -m benchmarks.growth_open DIR.

Opening a prepared folder verifies every byte, on all threads.
"""

import json
import sys
import time
from pathlib import Path

from reference import load_corpus


def main() -> None:
    begin = time.perf_counter()
    load_corpus(Path(sys.argv[1]))
    print(json.dumps({"verifying": time.perf_counter() - begin}))


if __name__ == "__main__":
    main()
