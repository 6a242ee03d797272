"""Drawing SVGs: on white, at size, zoomed when the page is mostly empty, nothing twice."""

import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from mindpics.datasets.svg import MAX_SVG_BYTES, Drawing, draw_all, draw_svg

HEAD = '<svg xmlns="http://www.w3.org/2000/svg" '


def svg(body, attributes='viewBox="0 0 100 100"'):
    return f"{HEAD}{attributes}>{body}</svg>"


def square(colour="red", x=0, side=100):
    return svg(f'<rect x="{x}" y="{x}" width="{side}" height="{side}" fill="{colour}"/>')


def drawing(i, text):
    return Drawing({"id": i, "source": f"test {i}"}, text)


def pixels_of(text, size=256):
    return cv2.imdecode(np.frombuffer(draw_svg(drawing("x", text), size), np.uint8), cv2.IMREAD_UNCHANGED)


def test_what_is_clear_is_white_and_colour_is_right():
    pixels = pixels_of(square("#ff8000", x=15, side=70))
    assert pixels.shape[:2] == (256, 256)
    assert pixels[0, 0, :3].tolist() == [255, 255, 255]
    assert pixels[128, 128, :3].tolist() == [0, 128, 255]


@pytest.mark.parametrize("attributes", ['width="20mm" height="10mm"', 'viewBox="0 0 2 1"', 'width="20" height="10"'])
def test_the_longer_side_is_the_size_and_the_shape_is_kept(attributes):
    assert pixels_of(svg('<rect width="9999" height="9999"/>', attributes)).shape[:2] == (128, 256)


def test_a_small_drawing_on_a_large_page_is_zoomed_into():
    pixels = pixels_of(square("blue", x=70, side=20))
    assert 200 <= max(pixels.shape[:2]) <= 300
    assert (pixels[:, :, 2] < 128).mean() > 0.6


def test_a_blank_drawing_and_a_broken_one_and_a_huge_one_say_so():
    with pytest.raises(ValueError, match="blank"):
        pixels_of(square("white"))
    with pytest.raises(ValueError, match="blank"):
        pixels_of(svg(""))
    with pytest.raises(ValueError):
        pixels_of("<svg")
    with pytest.raises(ValueError, match=f"at most {MAX_SVG_BYTES}"):
        pixels_of(square() + " " * MAX_SVG_BYTES)


def test_all_are_drawn_or_rejected_with_a_reason_and_twins_once(tmp_path):
    jobs = [drawing("a", square()), drawing("b", square("blue")), drawing("twin", square()), drawing("c", "<svg")]
    posts, rejected = draw_all(jobs, tmp_path, workers=1)
    assert [p["image"] for p in posts] == ["images/a.png", "images/b.png"]
    assert [row["id"] for row in rejected] == ["twin", "c"]
    assert rejected[0]["reason"] == "identical to a"
    assert sorted(path.name for path in (tmp_path / "images").iterdir()) == ["a.png", "b.png"]


def test_what_is_there_is_not_drawn_again(tmp_path):
    draw_all([drawing("a", square())], tmp_path, workers=1)
    old = (tmp_path / "images/a.png").stat().st_mtime_ns
    posts, rejected = draw_all([drawing("a", "<svg"), drawing("b", square("blue"))], tmp_path, workers=1)
    assert [p["id"] for p in posts] == ["a", "b"] and not rejected
    assert (tmp_path / "images/a.png").stat().st_mtime_ns == old


def test_a_drawing_that_takes_too_long_is_given_up(tmp_path):
    slow = "".join(
        f'<filter id="f{i}"><feTurbulence baseFrequency="0.9" numOctaves="400"/></filter>'
        f'<rect width="100" height="100" filter="url(#f{i})"/>'
        for i in range(40)
    )
    posts, rejected = draw_all([drawing("slow", svg(slow)), drawing("a", square())], tmp_path, workers=1, timeout=2)
    assert [p["id"] for p in posts] == ["a"]
    assert rejected[0]["reason"] == "took more than 2 s"


def test_killed_at_any_time_the_next_run_goes_on(tmp_path):
    script = tmp_path / "draw.py"
    script.write_text(
        "import sys\nfrom pathlib import Path\nfrom mindpics.datasets.svg import Drawing, draw_all\n"
        "if __name__ == '__main__':\n"
        '    svg = \'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 99 99">\'\n'
        '    svg += \'<rect width="99" height="99" fill="#{:06x}"/></svg>\'\n'
        "    jobs = [Drawing({'id': f'd{i}', 'source': ''}, svg.format(i * 997)) for i in range(500)]\n"
        "    print(len(draw_all(jobs, Path(sys.argv[1]), workers=2)[0]))\n"
    )
    command = [sys.executable, script, tmp_path]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.time() + 30
    while len(list(Path(tmp_path).glob("images/*.png"))) < 20 and time.time() < deadline:
        time.sleep(0.02)
    process.kill()
    process.wait()
    early = {path.name for path in (tmp_path / "images").glob("*.png")}
    assert 20 <= len(early) < 500
    assert all(cv2.imread(str(tmp_path / "images" / name)) is not None for name in early)
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    left = int(done.stdout)
    assert left == 500 == len(list((tmp_path / "images").glob("*.png")))
