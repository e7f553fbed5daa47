"""Shipped files in a process of their own: what it may do, and what becomes of it."""

import itertools
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

from isobatch.models.spec.deployed import code_files
from isobatch.models.spec.images import Images
from isobatch.pipeline.deploy.folder import serving
from isobatch.pipeline.deploy.record import INPUTS_FILE
from isobatch.pipeline.deploy.serve import Files, ServeError, run_served
from tests.pipeline.deploy.small import IMAGES, small_files

ROOT = Path(__file__).resolve().parents[3]
ROW = '{"n": %d, "plain": "' + "0" * 64 + '", "rotated": null, "peak_bytes": 1}'


def with_network(files: Files, network: str) -> Files:
    return replace(files, code={**code_files("onnxruntime"), "network.py": network.encode()})


def test_every_n_is_served_singles_first(tmp_path: Path) -> None:
    served = run_served(small_files(tmp_path), tmp_path / INPUTS_FILE, 1, [2, 3])
    assert [*served] == [1, 2, 3] and len({text for at_n in served.values() for text in at_n.sums}) == 1
    assert [len(at_n.sums) for at_n in served.values()] == [1, 2, 2]
    assert all(at_n.peak_bytes > 1e6 for at_n in served.values())


def test_what_is_printed_is_no_outcome(tmp_path: Path) -> None:
    printing = f"def opened(*given):\n    print({ROW % 1!r}, flush=True)\n    raise RuntimeError('that was all')\n"
    with pytest.raises(ServeError, match="that was all"):
        run_served(with_network(small_files(tmp_path), printing), tmp_path / INPUTS_FILE, 1, [])


@pytest.mark.parametrize("row", [ROW % 7, '{"n": 1}', "x" * 3000])
def test_rows_that_are_no_answers_end_it(tmp_path: Path, row: str) -> None:
    """The descriptor's number can be guessed by code that the user trusts; what it writes there is validated."""
    writing = f"import os, sys\ndef opened(*given):\n    os.write(int(sys.argv[2]), {row!r}.encode() + b'\\n')\n"
    with pytest.raises(ServeError, match=r"which was not asked|what is no answer"):
        run_served(with_network(small_files(tmp_path), writing), tmp_path / INPUTS_FILE, 1, [])


def test_a_silent_process_is_ended_with_all_that_it_started(tmp_path: Path) -> None:
    started = tmp_path / "started"
    hanging = (
        "import subprocess, time\n"
        "def opened(*given):\n"
        "    child = subprocess.Popen(['sleep', '600'])\n"
        f"    open({str(started)!r}, 'w').write(str(child.pid))\n"
        "    time.sleep(600)\n"
    )
    files = with_network(small_files(tmp_path), hanging)
    for seconds in (4, 40, 400):  # on a busy machine it may not have come so far
        with pytest.raises(ServeError, match=f"silent for {seconds} s"):
            run_served(files, tmp_path / INPUTS_FILE, 1, [], timeout_s=seconds)
        if started.is_file():
            break
    assert ended(int(started.read_text()))


def test_memory_is_limited(tmp_path: Path) -> None:
    greedy = "def opened(*given):\n    return bytearray(1 << 40)\n"
    with pytest.raises(ServeError, match="MemoryError"):
        run_served(with_network(small_files(tmp_path), greedy), tmp_path / INPUTS_FILE, 1, [])


def test_it_dies_with_its_parent(tmp_path: Path) -> None:
    started = tmp_path / "started"
    small_files(tmp_path)
    waiting = (
        "import os, time\n"
        f"def opened(*given):\n    open({str(started)!r}, 'w').write(str(os.getpid()))\n    time.sleep(600)\n"
    )
    code = (
        "import sys\nfrom pathlib import Path\n"
        "from isobatch.pipeline.deploy.serve import run_served\n"
        "from tests.pipeline.deploy.small import small_files\n"
        "from tests.pipeline.deploy.test_serve import with_network\n"
        "folder = Path(sys.argv[1])\n"
        "run_served(with_network(small_files(folder), sys.argv[2]), folder / 'images.npy', 1, [])\n"
    )
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    parent = subprocess.Popen([sys.executable, "-c", code, str(tmp_path), waiting], cwd=ROOT, env=environment)
    try:
        while not started.is_file() or not started.read_text():
            assert parent.poll() is None
            time.sleep(0.05)
    finally:
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    assert ended(int(started.read_text()))


def ended(pid: int) -> bool:
    """Wait until this process is gone, or a zombie that nobody has waited for."""
    for _ in range(600):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return True
        if state == "Z":
            return True
        time.sleep(0.1)
    return False


def test_a_file_that_changes_between_check_and_run_is_not_run(tmp_path: Path) -> None:
    files = small_files(tmp_path)
    images = tmp_path / INPUTS_FILE
    digests = dict.fromkeys([*files.model.values(), images], "0" * 64)
    with pytest.raises(ServeError, match=r"model.onnx was changed while it was read"):
        run_served(replace(files, digests=digests), images, 1, [])


def test_the_loader_splits_larger_calls_into_the_verified_range(tmp_path: Path) -> None:
    files = small_files(tmp_path)
    counting = (
        "import numpy as np\n"
        "def opened(*given):\n"
        "    return lambda images: np.full((len(images), 1), len(images), np.float32)\n"
    )
    with_network(files, counting).copied(tmp_path / "copy", tmp_path / INPUTS_FILE)
    code = "import numpy as np, infer; print(infer.Network()(np.zeros((7, 3, 4, 4), np.float32)).ravel().tolist())"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path / "copy", capture_output=True, text=True)
    assert done.stdout.strip() == "[3.0, 3.0, 3.0, 3.0, 3.0, 3.0, 1.0]", done.stderr
    assert len(IMAGES) == 4


def test_pictures_become_what_the_study_would_have_made_of_them(tmp_path: Path) -> None:
    """The loader cuts and scales by itself: the pixels are the same."""
    from PIL import Image

    from isobatch.models.spec.images import View, normalise
    from isobatch.pipeline.inputs.decode import decode

    plain = View(size=24, resize=28, mean=(0.4, 0.5, 0.6), std=(0.2, 0.25, 0.3))
    swapped = replace(plain, channel_order="bgr", scale=1.0, forced=True)
    views = [(plain, (24, 24)), (swapped, (24, 24)), (plain, (16, 32)), (replace(plain, resize_to=(30, 40)), (24, 24))]
    draws = np.random.default_rng(3)
    Image.fromarray(draws.integers(0, 256, (50, 37, 3), np.uint8)).save(tmp_path / "plain.png")
    Image.fromarray(draws.integers(0, 256, (31, 64, 4), np.uint8)).save(tmp_path / "transparent.png")
    Image.fromarray(draws.integers(0, 65536, (40, 40), np.uint16)).save(tmp_path / "grey16.png")
    namespace: dict[str, object] = {"__name__": "infer", "__file__": str(tmp_path / "infer.py")}
    exec(compile(code_files("torch")["infer.py"], "infer.py", "exec"), namespace)
    for (view, size), name in itertools.product(views, ("plain", "transparent", "grey16")):
        path = tmp_path / f"{name}.png"
        shown = serving(
            "torch", {"type": "float32"}, 1, 4, 2, Images("a", "", "uint8", (1, 3, *size), ""), asdict(view)
        )
        every = shown.model_dump(mode="json")
        settings = every["preprocessing"]
        expected = decode(path, size, view)
        assert (namespace["decoded"](path, settings) == expected).all(), name  # type: ignore[operator]
        network = object.__new__(namespace["Network"])  # type: ignore[call-overload]
        network.settings = every
        fed = expected[None][..., ::-1] if view.channel_order == "bgr" else expected[None]
        assert (network.prepared([path]) == normalise(fed, view.mean, view.std, view.scale)).all()
