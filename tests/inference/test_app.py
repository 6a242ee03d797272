"""tools/serve as a program sees it: answers that agree with the run, and what bad and hostile requests get."""

import io
import re
import shutil
import socket
import struct
import subprocess
import sys
import time
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import psutil
import pytest
from page_server import TOOL, serving
from PIL import Image
from small_run import BEST, EVIL, TRAIN

from mindpics.results.metrics import load_scores
from mindpics.results.table3 import write_table3
from pinterest_id.records import read_pins
from pinterest_id.scores import load_scores as load_user_scores

HEADERS = ("Content-Security-Policy", "X-Content-Type-Options", "Referrer-Policy", "Cross-Origin-Resource-Policy")


@pytest.fixture(scope="module")
def temporary(tmp_path_factory):
    return tmp_path_factory.mktemp("temporary")


@pytest.fixture(scope="module")
def server(small_run, temporary):
    """A server on the small run; 1 MB and 300,000 pixels are allowed, and 4 requests at once."""
    limits = ("--max-megabytes", "1", "--max-pixels", "300000", "--waiting", "4")
    with serving(small_run, *limits, TMPDIR=str(temporary)) as client:
        yield client


@pytest.fixture(scope="module")
def picture(small_run):
    """The bytes of a test picture."""
    return (small_run.parent / "emoji" / "images" / f"{TRAIN}.png").read_bytes()


def png(width, height):
    """A PNG that says it is so large; its pixels are missing."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(b"")), (b"IEND", b"")]
    body = b"".join(struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in chunks)
    return b"\x89PNG\r\n\x1a\n" + body


def saved(pixels, kind):
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, kind)
    return stream.getvalue()


def test_traits_are_those_that_the_run_scored(server, small_run):
    ids, _, scores = load_scores(small_run / "mindpics" / BEST / "scores.npz")
    for id_, expected in list(zip(ids, scores, strict=True))[:10]:
        data = (small_run.parent / "emoji" / "images" / f"{id_[1:]}.png").read_bytes()
        status, _, answer = server.post("/api/traits", picture=data)
        assert status == 200 and [trait["trait"] for trait in answer["traits"]] == list("OCEAN")
        np.testing.assert_allclose([trait["high"] for trait in answer["traits"]], expected[:, 1], atol=2e-5)
        assert all(np.shape(answer["occlusion"][trait]) == (8, 8) for trait in "OCEAN")
        nearest = answer["nearest"][0]
        assert nearest["index"] == int(id_[1:]) and nearest["cosine"] == pytest.approx(1, abs=1e-3)
        assert nearest["word"] == EVIL and answer["seen"].startswith("data:image/png;base64,")


def test_users_are_those_that_the_run_ranked(server, small_run):
    pins = {pin.id: pin for pin in read_pins(small_run.parent / "clipart" / "pins.jsonl")[0]}
    cf = load_user_scores(small_run / "pinterest_id" / "scores" / "cf.npz")
    for row, id_ in enumerate(cf.ids):
        data = (small_run.parent / "clipart" / pins[id_].image).read_bytes()
        status, _, answer = server.post("/api/users", pins[id_].text, data)
        users = sorted(answer["users"], key=lambda user: user["cf_rank"])
        order = np.argsort(-cf.logs[row], kind="stable")
        assert status == 200 and [user["user"] for user in users] == cf.users[order].tolist()


def test_a_picture_as_the_body_and_a_text_alone_will_do(server, picture):
    form = server.post("/api/traits", picture=picture)
    body = server.get("/api/traits", "POST", picture, Content_Type="image/png")
    assert form[2]["traits"] == body[2]["traits"]
    status, _, answer = server.post("/api/users", "moon")
    assert (status, answer["by"]) == (200, "text")
    assert server.post("/api/users", picture=picture)[2]["by"] == "picture"


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF"])
def test_every_format_is_read(server, kind):
    pixels = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
    assert server.post("/api/traits", picture=saved(pixels, kind))[0] == 200


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("text.jpg", b"I am a text, whatever my name says.\n", "no picture of a known format; wanted JPEG"),
        ("page.png", b"<html><script>alert(1)</script></html>", "no picture of a known format"),
        ("drawing.svg", b"<svg xmlns='http://www.w3.org/2000/svg'/>", "no picture of a known format"),
        ("empty.png", b"", "The file is empty"),
        ("bomb.png", png(30000, 30000), "too many pixels|at most 300000 are decoded"),
        ("large.png", png(1000, 1000), "1000x1000 is 1000000 pixels; at most 300000 are decoded"),
        ("cut.png", png(50, 50), "broken PNG"),
        ("header.gif", b"GIF89a", "no picture of a known format|broken header"),
        ("../../etc/passwd", b"root:x:0:0", "no picture of a known format"),
    ],
)
def test_a_bad_picture_gets_a_reason(server, name, data, message):
    for path in ("/api/traits", "/api/users"):
        status, headers, answer = server.post(path, "moon", data, name)
        assert status == 422 and headers["Content-Type"] == "application/json"
        assert re.search(message, answer["error"]), answer


@pytest.mark.parametrize(
    ("path", "text", "message"),
    [
        ("/api/traits", "moon", "No picture was given."),
        ("/api/users", None, "Neither a text nor a picture was given."),
        ("/api/users", " ", "Neither a text nor a picture"),
        ("/api/users", "zzz", "none of the text's words"),
        ("/api/users", "moon " * 500, "The text has 2499 letters; at most 2000 are taken."),
    ],
)
def test_a_request_without_what_is_needed_gets_a_reason(server, path, text, message):
    status, _, answer = server.post(path, text)
    assert status == 422 and message in answer["error"]


@pytest.mark.parametrize("megabytes", [1.1, 20])
def test_too_large_an_upload_is_told_so(server, megabytes):
    """Its sender has sent it all before it looks at the answer, and must find one."""
    status, headers, answer = server.post("/api/traits", picture=b"\xff\xd8\xff" * int(megabytes * 1e6 / 3))
    assert status == 413 and "larger than 1 MB" in answer["error"]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/", 200),
        ("/api/about", 200),
        ("/static/serve.js", 200),
        ("/thumbnails/traits/0", 200),
        ("/thumbnails/users/3", 200),
        ("/nothing", 404),
        ("/api/traits", 405),
        ("/thumbnails/traits/200", 404),
        ("/thumbnails/traits/-1", 404),
        ("/thumbnails/other/0", 404),
        ("/thumbnails/traits/../../../../etc/passwd", 404),
        ("/static/../serve.py", 404),
        ("/static/..%2f..%2f..%2fetc%2fpasswd", 404),
        ("/static/report.html", 404),
        ("//etc/passwd", 404),
        ("/thumbnails/traits/0%00", 404),
        ("/static/serve.html", 404),
    ],
)
def test_only_what_is_meant_is_served_and_with_security_headers(server, path, status):
    found, headers, content = server.get(path)
    assert found == status and all(headers[name] for name in HEADERS), dict(headers)
    assert "default-src 'self'" in headers["Content-Security-Policy"]
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff" and headers["Referrer-Policy"] == "no-referrer"
    assert isinstance(content, dict) == (status >= 400 or path.startswith("/api"))
    assert "root:" not in str(content)


def test_other_hosts_names_and_other_sites_are_refused(server, picture):
    assert server.get("/", Host="evil.example")[0] == 400
    assert server.get("/", Host=f"localhost:{server.port}")[0] == 200
    for origin in ("http://evil.example", "null", "http://127.0.0.1:1"):
        status, _, answer = server.get("/api/traits", "POST", picture, Content_Type="image/png", Origin=origin)
        assert (status, answer["error"]) == (403, "Requests from other sites are refused.")
    assert server.get("/api/traits", "POST", picture, Content_Type="image/png", Origin=server.address)[0] == 200


def test_it_listens_on_this_machine_only(server):
    listening = [c.laddr for c in psutil.Process(server.process.pid).net_connections("inet") if c.status == "LISTEN"]
    assert [tuple(address) for address in listening] == [("127.0.0.1", server.port)]
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.2", server.port), timeout=5)


def decoders(server):
    """The children that decode pictures; there is one."""
    below = psutil.Process(server.process.pid).children(recursive=True)
    found = [child for child in below if not child.children() and "forkserver" in " ".join(child.cmdline())]
    assert found
    return found


def test_one_more_than_may_wait_is_sent_away_and_then_let_in(server, picture):
    """Four pictures wait for a decoder that stands still; the fifth is told when to come again."""
    with ThreadPoolExecutor(4) as pool:
        for child in decoders(server):
            child.suspend()
        four = [pool.submit(server.post, "/api/traits", picture=picture) for _ in range(4)]
        time.sleep(0.5)
        status, headers, answer = server.post("/api/traits", picture=picture)
        page = server.get("/")[0]
        for child in decoders(server):
            child.resume()
    assert (status, headers["Retry-After"]) == (503, "2") and "4 requests are waiting" in answer["error"]
    assert page == 200  # the page itself still opened
    assert [one.result()[0] for one in four] == [200] * 4
    assert server.post("/api/traits", picture=picture)[0] == 200


def test_a_decoder_that_dies_is_replaced(server, picture):
    for child in decoders(server):
        child.kill()
    assert [server.post("/api/traits", picture=picture)[0] for _ in range(3)] == [200, 200, 200]


def test_fifty_at_once(server, small_run, temporary, request):
    """Bad, large and good uploads: everyone gets its own answer, memory stays, nothing is written."""
    seconds = 60 if request.config.getoption("--long") else 3
    images = small_run.parent / "emoji" / "images"
    good = {f"{i}.png": (images / f"{i}.png").read_bytes() for i in range(10)}
    known = {name: server.post("/api/traits", picture=data)[2]["traits"] for name, data in good.items()}
    bad = {"bomb": png(30000, 30000), "cut": png(50, 50), "text": b"text", "large": bytes(3_000_000), "empty": b""}
    everything = list((good | bad).items())
    files = written_at(small_run)
    counts, end, peak = {}, time.monotonic() + seconds, []

    def ask(number):
        rng = np.random.default_rng(number)
        while time.monotonic() < end:
            name, data = everything[rng.integers(len(everything))]
            status, _, answer = server.post("/api/traits", picture=data, name=name)
            if status == 200:
                assert answer["traits"] == known[name]
            else:
                assert answer["error"] and status in ((503,) if name in good else (413, 422, 503))
            counts[status] = counts.get(status, 0) + 1

    with ThreadPoolExecutor(50) as pool:
        running = [pool.submit(ask, number) for number in range(50)]
        while not all(one.done() for one in running):
            peak.append(resident(server.process.pid))
            time.sleep(0.2)
        for one in running:
            one.result()
    assert counts.get(200, 0) and counts.get(503, 0) and counts.get(422, 0) + counts.get(413, 0)
    assert server.process.poll() is None and server.post("/api/traits", picture=good["3.png"])[0] == 200
    assert max(peak) < 1 << 30 and peak[-1] - peak[0] < 200 << 20
    kept = [path for path in temporary.rglob("*") if path.is_file() and not path.match("mindpics-*.caffe.log")]
    assert not kept  # but what Caffe said at the start, until the server ends
    assert files == written_at(small_run)


def written_at(folder):
    """When each file was; not an LMDB's lock, which any reader touches."""
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file() and path.name != "lock.mdb"}


def resident(pid):
    """Bytes that the server and its children hold, each page counted once."""
    process = psutil.Process(pid)
    return sum(one.memory_full_info().pss for one in [process, *process.children(recursive=True)])


def test_an_upload_is_answered_in_under_two_seconds(server, picture):
    """What a user is promised, on the small nets; the median of five, so that one busy moment does not count."""
    seconds = []
    for _ in range(5):
        begun = time.perf_counter()
        assert server.post("/api/traits", picture=picture)[0] == 200
        seconds.append(time.perf_counter() - begun)
    assert np.median(seconds) < 2


def test_it_says_what_it_loaded_and_that_it_is_no_judgement(server):
    assert "resnet50 all-in-one finetune, right on" in server.said and "200 MindPics to compare with" in server.said
    assert "4 users, 40 pins to compare with, fc7 of alexnet_all-in-one_scratch" in server.said
    page = server.get("/")[2].decode()
    assert "Not a judgement of people." in page and page.count("A stand-in net:") == 2 and EVIL not in page
    about = server.get("/api/about")[2]
    stripes = f"drawn stripes {EVIL}"
    assert about["stand_in"] == {"traits": stripes, "users": f"{stripes}; creators of Open Clip Art for users"}
    assert about["has"] == {"traits": True, "users": True}


def tool(*arguments):
    return subprocess.run([sys.executable, TOOL, *map(str, arguments)], capture_output=True, text=True, timeout=60)


def test_a_run_with_one_papers_models_shows_that_one(small_run, tmp_path):
    half = tmp_path / "run"
    shutil.copytree(small_run, half, ignore=shutil.ignore_patterns("*_lmdb", "snapshots", "pool5*", "clipart"))
    (half / "pinterest_id" / "run.json").unlink()
    with serving(half, "--model", "alexnet_all-in-one_scratch") as client:
        assert "who would post it: left out:" in client.said and "made by: tools/reproduce" in client.said
        assert "no MindPics to compare with" in client.said
        status, _, answer = client.post("/api/users", "moon")
        assert status == 404 and "/api/about says why" in answer["error"]
        assert "Not there:" in client.get("/")[2].decode()
        assert client.post("/api/traits", picture=saved(np.zeros((9, 9, 3), np.uint8), "PNG"))[2]["nearest"] == []


def test_what_is_missing_is_said_with_the_command_that_makes_it(tmp_path):
    done = tool(tmp_path / "none")
    assert (
        done.returncode == 1
        and "found no table3.csv and no table2.csv; wanted what tools/reproduce makes" in done.stderr
    )
    (tmp_path / "mindpics").mkdir()
    write_table3(tmp_path / "mindpics" / "table3.csv", [])
    (tmp_path / "pinterest_id").mkdir()
    columns = "model,accuracy,f1_macro,recall_at_10,low95,high95,n,published_accuracy,published_f1,command"
    (tmp_path / "pinterest_id" / "table2.csv").write_text(f"{columns}\nCF,1,1,1,1,1,1,1,1,x\n")
    done = tool(tmp_path)
    assert done.stdout.count("left out: ") == done.stdout.count("made by: tools/reproduce") == 2
    assert done.returncode == 1 and "found no model to show" in done.stderr and "Traceback" not in done.stderr
