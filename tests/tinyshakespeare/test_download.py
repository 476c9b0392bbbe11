import gc
import hashlib
import threading
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import platformdirs
import pytest

from reference.errors import DownloadError
from reference.tinyshakespeare import download
from reference.tinyshakespeare.download import fetch_tinyshakespeare

TEXT = b"First Citizen:\nBefore we proceed any further, hear me speak.\n" * 5000  # 305 kB


@dataclass
class Server:
    """An HTTP server on loopback that sends what a test tells it to."""

    url: str = ""
    body: bytes = TEXT
    announced: int = len(TEXT)
    status: int = 200
    stalls: bool = False
    requests: list[str] = field(default_factory=list)
    release: threading.Event = field(default_factory=threading.Event)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    told = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            told.requests.append(self.path)
            self.send_response(told.status)
            self.send_header("Content-Length", str(told.announced))
            self.end_headers()
            self.wfile.write(told.body)
            self.wfile.flush()
            if told.stalls:
                told.release.wait(30)

        def log_message(self, *_arguments: object) -> None:
            pass

    monkeypatch.setattr(download, "SIZE", len(TEXT))
    monkeypatch.setattr(download, "SHA256", hashlib.sha256(TEXT).hexdigest())
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    httpd.daemon_threads = True
    thread = threading.Thread(target=httpd.serve_forever)
    thread.start()
    told.url = f"http://127.0.0.1:{httpd.server_port}/input.txt"
    yield told
    told.release.set()
    httpd.shutdown()
    thread.join()
    httpd.server_close()
    with warnings.catch_warnings():  # requests leaves a response open that has timed out
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


def refused(server: Server, cache: Path, message: str) -> None:
    """The fetch fails, says so, and leaves nothing; with a sound server it then works."""
    with pytest.raises(DownloadError, match=message) as caught:
        fetch_tinyshakespeare(url=server.url, cache=cache)
    assert server.url in str(caught.value)
    assert '"twin"' in str(caught.value)
    assert not list(cache.iterdir())
    server.status, server.body, server.announced, server.stalls = 200, TEXT, len(TEXT), False
    assert fetch_tinyshakespeare(url=server.url, cache=cache).read_bytes() == TEXT


def test_it_arrives_whole_and_is_fetched_once(server: Server, tmp_path: Path) -> None:
    file = fetch_tinyshakespeare(url=server.url, cache=tmp_path / "new")
    assert file.read_bytes() == TEXT
    assert [path.name for path in file.parent.iterdir()] == ["tinyshakespeare.txt"]
    assert fetch_tinyshakespeare(url=server.url, cache=tmp_path / "new") == file
    assert server.requests == ["/input.txt"]


def test_progress_rises_to_the_whole_size(server: Server, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    fetch_tinyshakespeare(
        url=server.url,
        cache=tmp_path,
        progress=lambda arrived, total: seen.append((arrived, total)),
    )
    arrived = [number for number, _total in seen]
    assert arrived == sorted(arrived)
    assert len(set(arrived)) > 3
    assert seen[-1] == (len(TEXT), len(TEXT))


def test_a_connection_that_breaks_off_leaves_nothing(server: Server, tmp_path: Path) -> None:
    server.body = TEXT[:100_000]
    refused(server, tmp_path, "100000 bytes read")


def test_a_text_cut_short_on_the_server_is_told_by_its_size(server: Server, tmp_path: Path) -> None:
    server.body, server.announced = TEXT[:100_000], 100_000
    refused(server, tmp_path, "100,000 bytes came instead of 305,000")


def test_a_text_of_the_right_size_and_other_content_is_refused(
    server: Server, tmp_path: Path
) -> None:
    server.body = TEXT[:-2] + b"!\n"
    refused(server, tmp_path, "hash")


def test_an_error_from_the_server_is_passed_on(server: Server, tmp_path: Path) -> None:
    server.status = 404
    refused(server, tmp_path, "404")


def test_a_server_that_stalls_is_given_up(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "TIMEOUT", 0.2)
    server.body, server.stalls = TEXT[:100_000], True
    refused(server, tmp_path, "(?i)timed out")


def test_a_server_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="127.0.0.1"):
        fetch_tinyshakespeare(url="http://127.0.0.1:9/input.txt", cache=tmp_path)


def test_ctrl_c_in_the_midst_leaves_nothing(server: Server, tmp_path: Path) -> None:
    def interrupt(arrived: int, _total: int) -> None:
        if arrived > 100_000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch_tinyshakespeare(url=server.url, cache=tmp_path, progress=interrupt)
    assert not list(tmp_path.iterdir())


def test_a_file_damaged_in_the_cache_is_fetched_again(server: Server, tmp_path: Path) -> None:
    file = fetch_tinyshakespeare(url=server.url, cache=tmp_path)
    file.write_bytes(TEXT[:-1])
    assert fetch_tinyshakespeare(url=server.url, cache=tmp_path).read_bytes() == TEXT
    assert len(server.requests) == 2


def test_a_bad_download_does_not_replace_a_damaged_file(server: Server, tmp_path: Path) -> None:
    file = fetch_tinyshakespeare(url=server.url, cache=tmp_path)
    file.write_bytes(TEXT[:-1])
    server.body = TEXT[:-2] + b"!\n"
    with pytest.raises(DownloadError):
        fetch_tinyshakespeare(url=server.url, cache=tmp_path)
    assert file.read_bytes() == TEXT[:-1]


def test_a_cache_that_cannot_be_written_is_named(server: Server, tmp_path: Path) -> None:
    blocked = tmp_path / "a file"
    blocked.touch()
    with pytest.raises(DownloadError, match="a file"):
        fetch_tinyshakespeare(url=server.url, cache=blocked)


def test_the_cache_is_where_the_platform_keeps_such_files(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("XDG_CACHE_HOME", "HOME", "LOCALAPPDATA"):
        monkeypatch.setenv(name, str(tmp_path))
    file = fetch_tinyshakespeare(url=server.url)
    assert file.is_relative_to(platformdirs.user_cache_path("bigram-reference"))
    assert file.is_relative_to(tmp_path)


def test_the_recorded_size_and_digest_are_the_real_texts(real_text: Path) -> None:
    content = real_text.read_bytes()
    assert len(content) == download.SIZE
    assert hashlib.sha256(content).hexdigest() == download.SHA256
