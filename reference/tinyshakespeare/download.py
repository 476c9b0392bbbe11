"""Tiny Shakespeare itself, fetched once, checked, and kept where the platform keeps such files."""

from collections.abc import Callable
from pathlib import Path

from reference.errors import DownloadError

URL = "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt"
SIZE = 1_115_394
"""In bytes; the text is ASCII, so also in characters."""
SHA256 = "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed"
TIMEOUT = 30
"""Seconds without a byte after which a download is given up."""


def fetch_tinyshakespeare(
    *,
    url: str = URL,
    cache: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Give the path of the text, from the cache folder or else from the network.

    The file appears in the cache whole and checked, or not at all; one that was damaged there is
    fetched again. `progress` is called with the bytes that have arrived and the bytes in all.

    Raises: DownloadError, which says what came instead and what else can be done.
    """
    # Imported here, so that whoever does not download does not wait for an HTTP library.
    import pooch  # noqa: PLC0415  as said
    import requests  # noqa: PLC0415  as said

    pooch.get_logger().setLevel("WARNING")  # the progress shows what it would say
    folder = cache or Path(pooch.os_cache("bigram-reference"))
    arriving = _Arriving(progress)
    fetch = pooch.HTTPDownloader(progressbar=arriving, chunk_size=2**16, timeout=TIMEOUT)

    def fetch_whole(url: str, output_file: str, pooch: object) -> None:
        fetch(url, output_file, pooch)
        arrived = Path(output_file).stat().st_size
        if arrived != SIZE:
            raise DownloadError(f"{arrived:,} bytes came instead of {SIZE:,}")

    try:
        kept: str = pooch.retrieve(
            url, f"sha256:{SHA256}", "tinyshakespeare.txt", folder, downloader=fetch_whole
        )
    except (DownloadError, requests.RequestException, OSError, ValueError) as error:
        # pooch raises ValueError where the digest is another.
        raise DownloadError(
            f"Tiny Shakespeare could not be fetched from {url} into {folder}: {error}. "
            "Nothing was kept. Try again, or fetch it yourself and give the file's path, or use "
            '"twin", the embedded corpus, which has the same bigram counts and needs no download'
        ) from error
    return Path(kept)


class _Arriving:
    """What pooch expects of a progress bar, handed on as two numbers."""

    def __init__(self, report: Callable[[int, int], None] | None) -> None:
        self.report = report
        self.total = 0
        self.arrived = 0

    def update(self, size: int) -> None:
        self.arrived = min(self.arrived + size, self.total)
        if self.report is not None:
            self.report(self.arrived, self.total)

    def reset(self) -> None:
        self.arrived = 0

    def close(self) -> None:
        pass
