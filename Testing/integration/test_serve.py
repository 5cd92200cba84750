"""``e3pose serve`` with a real client of pyigtl: images in, transforms and texts out, whatever a client does."""

import json
import socket
import struct
import threading
import time

import numpy as np
import pyigtl
import pytest

from E3PoseLib import PoseEstimator, load_model
from E3PoseLib.cli import main
from E3PoseLib.errors import E3PoseError
from E3PoseLib.imaging.geometry import LPS_TO_RAS, pose_difference
from E3PoseLib.models.catalog import resources
from E3PoseLib.running.live.answers import REPORT, TRANSFORM, volume_of
from E3PoseLib.running.live.command import LOOPBACK, serve
from E3PoseLib.running.live.server import ERRORS, MOST_DEVICES, ImageServer, Waiting
from E3PoseTraining.synthesis.anatomy.drawn_brain import ParametricBrain
from E3PoseTraining.synthesis.kinds.kind import Wanted
from E3PoseTraining.synthesis.kinds.moving import MovingFetus

WAIT = 60.0
"""Seconds after which an answer counts as missing, on however busy a computer."""


MODEL = resources() / "Models" / "default.safetensors"


@pytest.fixture(scope="module")
def estimator():
    return PoseEstimator(load_model(MODEL), "cpu")


@pytest.fixture(scope="module")
def head():
    """A head's scan as int16, and the truth about it."""
    made = MovingFetus(3, 30.0, lambda age, rng: ParametricBrain(), Wanted((64, 64, 40), 3.0)).scan(np.eye(4), 0)
    return (made.image * 200).astype(np.int16), made


@pytest.fixture
def server(estimator):
    """One on a free port of loopback, that answers."""
    server, stop = ImageServer(LOOPBACK, 0), threading.Event()
    answering = threading.Thread(target=serve, args=(server, estimator, stop), daemon=True)
    answering.start()
    yield server
    stop.set()
    answering.join(WAIT)
    server.close()
    assert not answering.is_alive()


@pytest.fixture
def connect(server):
    clients = []

    def connected():
        clients.append(pyigtl.OpenIGTLinkClient(LOOPBACK, server.port))
        return clients[-1]

    yield connected
    for client in clients:
        client.stop()


def image(head, name="Scan", timestamp=12.5, system="ras"):
    array, made = head
    matrix = made.voxel_to_ras if system == "ras" else LPS_TO_RAS @ made.voxel_to_ras
    voxels = np.ascontiguousarray(array.transpose(2, 1, 0))
    return pyigtl.ImageMessage(voxels, matrix, system, timestamp=timestamp, device_name=name)


def wait_until(holds) -> None:
    until = time.monotonic() + WAIT
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.01)


def report(client, name=REPORT) -> dict:
    message = client.wait_for_message(name, timeout=WAIT)
    assert message is not None, f"no {name} came"
    return json.loads(message.string) if name == REPORT else message.string


@pytest.mark.parametrize("system", ["ras", "lps"])
def test_an_image_is_answered_by_its_pose_and_what_it_is_worth(connect, head, system):
    client = connect()
    client.send_message(image(head, system=system))
    said = report(client)
    transform = client.wait_for_message(TRANSFORM, timeout=WAIT)
    degrees, mm = pose_difference(np.asarray(transform.matrix, float), head[1].canonical_to_ras)
    assert degrees < 8 and mm < 4
    assert said["image"] == "Scan" and said["timestamp"] == pytest.approx(12.5)
    assert transform.timestamp == pytest.approx(12.5)
    np.testing.assert_allclose(said["canonical_to_ras"], transform.matrix, atol=1e-3)
    assert said["confidence"]["level"] in ("high", "moderate") and said["marks"] == [] and said["searched"]
    # The next one is followed.
    client.send_message(image(head, timestamp=13.5, system=system))
    again = report(client)
    assert again["timestamp"] == pytest.approx(13.5) and not again["searched"]


def test_a_doubtful_pose_is_told_but_no_transform_sent(connect, head):
    array, made = head
    noise = np.random.default_rng(0).integers(0, 30, array.shape).astype(np.int16)
    client = connect()
    client.send_message(image((noise, made)))
    said = report(client)
    assert said["marks"] and ("error" in said or said["warnings"])
    assert client.wait_for_message(TRANSFORM, timeout=0.2) is None


def test_clients_leave_and_come_again(connect, server, head):
    for n_clients in (1, 2, 3):
        client = connect()
        client.send_message(image(head))
        # A head of the client before is not gone on from.
        assert report(client)["searched"] and server.n_clients == n_clients
        client.stop()
    # One that leaves in the middle of a header, and one in the middle of an image, stand in nobody's way.
    whole = image(head).pack()
    for part in (whole[:20], whole[:5000]):
        with socket.create_connection((LOOPBACK, server.port)) as rude:
            rude.sendall(part)
    client = connect()
    client.send_message(image(head))
    assert report(client)["confidence"]["level"] != "low"


def test_of_images_that_come_faster_than_answers_the_newest_wins(connect, server, head):
    client = connect()
    client.send_message(image(head))
    report(client)
    packed = [image(head, timestamp=100.0 + index).pack() for index in range(12)]
    client.stop()
    with socket.create_connection((LOOPBACK, server.port)) as quick:
        quick.sendall(b"".join(packed))
        reader = pyigtl.OpenIGTLinkClient(LOOPBACK, server.port, start_now=False)
        quick.settimeout(0.5)
        times, until = [], time.monotonic() + WAIT
        while (not times or times[-1] < 111) and time.monotonic() < until:
            reader._receive_message_from_socket(quick)
            times += [
                json.loads(one.string)["timestamp"] for one in reader.get_latest_messages() if "HeadPose" in str(one)
            ]
    assert times[-1] == pytest.approx(111) and times == sorted(times)
    assert server.n_skipped > 0 and len(times) + server.n_skipped >= 10


def test_two_images_at_once_are_two_heads(connect, head):
    client = connect()
    for name in ("One", "Other"):
        client.send_message(image(head, name), wait=False)
    names, until = set(), time.monotonic() + WAIT
    while names != {"One", "Other"} and time.monotonic() < until:
        message = client.wait_for_message(REPORT, timeout=1)
        names |= {json.loads(message.string)["image"]} if message else set()
    # pyigtl keeps the last text alone, so one may have been replaced by the other before it was looked at.
    assert names and "Other" in names
    # A receiver has one transform for each name, and must not take one head for the other.
    for name in (TRANSFORM, f"{TRANSFORM}2"):
        assert client.wait_for_message(name, timeout=WAIT) is not None, name


def test_tools_that_are_tracked_beside_a_head_do_not_make_it_forgotten(connect, head):
    client = connect()
    for round_, searched in enumerate((True, False)):
        for tool in range(MOST_DEVICES + 1):
            client.send_message(pyigtl.TransformMessage(np.eye(4), device_name=f"Tool{tool}"))
        client.send_message(image(head, timestamp=float(round_)))
        said = report(client)
        while said["image"] != "Scan":
            assert "is no image" in said["error"]
            said = report(client)
        assert (said["timestamp"], said["searched"]) == (round_, searched)


def test_no_more_waits_than_is_followed_however_devices_are_named():
    waiting = Waiting()
    for number in range(100):
        waiting[f"Image_{number}"] = pyigtl.ImageMessage(np.zeros((4, 4, 4)), device_name=f"Image_{number}")
        waiting["Needle"] = pyigtl.TransformMessage(np.eye(4), device_name="Needle")
        waiting["Image_0"] = pyigtl.ImageMessage(np.full((4, 4, 4), number), device_name="Image_0")
    # The newest of the devices that have sent last, and what is no image has its own room.
    newest = [f"Image_{number}" for number in range(93, 100)]
    images = [(True, name) for name in (*newest, "Image_0")]
    assert list(waiting) == [*images[:-1], (False, "Needle"), images[-1]] and len(images) == MOST_DEVICES
    assert (waiting[images[-1]][0].image == 99).all() and waiting.n_skipped == 300 - len(waiting)


def test_what_a_head_can_move_is_reckoned_by_when_images_came(estimator, head, monkeypatch):
    from E3PoseLib.running.live import answers

    may_answer, came, answer = threading.Event(), [], answers.answer

    def slowly(message, arrived, *others):
        came.append(arrived)
        assert may_answer.wait(WAIT)
        return answer(message, arrived, *others)

    monkeypatch.setattr(answers, "answer", slowly)
    slow, stop = ImageServer(LOOPBACK, 0), threading.Event()
    answering = threading.Thread(target=serve, args=(slow, estimator, stop), daemon=True)
    answering.start()
    client = pyigtl.OpenIGTLinkClient(LOOPBACK, slow.port)
    try:
        client.send_message(image(head))
        wait_until(lambda: came)
        client.send_message(image(head, timestamp=13.5))
        wait_until(lambda: slow.incoming_messages)
        answered = time.monotonic()
        may_answer.set()
        assert report(client)["timestamp"] == pytest.approx(12.5)
        assert report(client)["timestamp"] == pytest.approx(13.5)
        assert came[0] < came[1] < answered
    finally:
        may_answer.set()
        client.stop()
        stop.set()
        answering.join(WAIT)
        slow.close()


def test_a_client_in_the_middle_of_a_message_does_not_keep_the_server_from_its_end(head):
    server, whole, ended = ImageServer(LOOPBACK, 0), image(head).pack(), threading.Event()
    with socket.create_connection((LOOPBACK, server.port)) as slow:

        def trickle():
            for byte in whole:
                if ended.wait(0.05):
                    return
                try:
                    slow.sendall(bytes([byte]))
                except OSError:
                    return

        sending, closing = threading.Thread(target=trickle), threading.Thread(target=server.close)
        sending.start()
        wait_until(lambda: server.n_clients)
        closing.start()
        closing.join(20)
        is_closed = not closing.is_alive()
        ended.set()
        sending.join()
    assert is_closed


def test_what_was_for_a_client_that_has_left_does_not_go_to_the_next(estimator, head, monkeypatch):
    from E3PoseLib.running.live import answers

    asked, may_answer, answer = threading.Event(), threading.Event(), answers.answer

    def slowly(*arguments):
        asked.set()
        assert may_answer.wait(WAIT)
        return answer(*arguments)

    monkeypatch.setattr(answers, "answer", slowly)
    other, stop = ImageServer(LOOPBACK, 0), threading.Event()
    answering = threading.Thread(target=serve, args=(other, estimator, stop), daemon=True)
    answering.start()
    first = pyigtl.OpenIGTLinkClient(LOOPBACK, other.port)
    first.send_message(image(head, "One"))
    assert asked.wait(WAIT)
    first.send_message(image(head, "Waiting"))
    first.stop()
    second = pyigtl.OpenIGTLinkClient(LOOPBACK, other.port)
    until = time.monotonic() + WAIT
    while other.n_clients < 2 and time.monotonic() < until:
        time.sleep(0.01)
    may_answer.set()
    try:
        second.send_message(image(head, "Own", timestamp=99.0))
        assert report(second)["image"] == "Own"
        assert second.wait_for_message(TRANSFORM, timeout=WAIT).timestamp == pytest.approx(99.0)
        assert second.get_latest_messages() == []
    finally:
        second.stop()
        stop.set()
        answering.join(WAIT)
        other.close()


def test_what_is_no_usable_image_is_answered_in_words(connect, head):
    client = connect()
    client.send_message(pyigtl.TransformMessage(np.eye(4), device_name="Needle"))
    assert "TRANSFORM Needle: is no image" in report(client)["error"]
    flat = pyigtl.ImageMessage(np.zeros((1, 64, 64), np.int16), np.eye(4), "ras", device_name="Slice")
    client.send_message(flat)
    assert "64 × 64 × 1 voxels are too few" in report(client)["error"]
    colours = pyigtl.ImageMessage(np.zeros((9, 64, 64, 3), np.uint8), np.eye(4), "ras", device_name="Colours")
    client.send_message(colours)
    assert "one value a voxel" in report(client)["error"]
    empty = pyigtl.ImageMessage(np.zeros((20, 64, 64), np.int16), 3 * np.eye(4), "ras", device_name="Empty")
    client.send_message(empty)
    assert "same value" in report(client)["error"]
    # The connection has stood all this.
    client.send_message(image(head))
    assert "canonical_to_ras" in report(client)


def test_text_and_broken_messages_end_the_connection_with_a_reason_but_not_the_server(connect, server, head):
    array_bytes = image(head).pack()
    kind_of_voxels = 58 + 3
    broken = array_bytes[:kind_of_voxels] + b"\x63" + array_bytes[kind_of_voxels + 1 :]
    huge = array_bytes[:42] + struct.pack("> Q", 1 << 60) + array_bytes[50:]
    unknown = array_bytes[:2] + b"COLORT".ljust(12, b"\0") + array_bytes[14:]
    for sent, words in (
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nAccept: everything at all\r\n\r\n" * 2, "no OpenIGTLink message"),
        (broken, "could not be read"),
        (huge, "at most"),
        (b"hi", "the rest of a header did not come"),
        (unknown, "COLORT messages are not understood"),
    ):
        with socket.create_connection((LOOPBACK, server.port)) as raw:
            raw.sendall(sent)
            raw.settimeout(WAIT)
            reply = raw.recv(1 << 16)
            assert ERRORS.encode() in reply and words.encode() in reply
    client = connect()
    client.send_message(image(head))
    assert "canonical_to_ras" in report(client)


def test_a_port_in_use_is_said(server, capsys):
    with pytest.raises(E3PoseError, match="cannot listen there"):
        ImageServer(LOOPBACK, server.port)
    assert main(["serve", "--port", str(server.port)]) == 2
    assert f"{LOOPBACK}:{server.port}: cannot listen there" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["serve", "--port", "70000"])


def test_the_order_of_bytes_and_axes_is_the_senders(head):
    array, made = head
    sent = image(head)
    sent.image = sent.image.astype(">i2")
    volume = volume_of(sent)
    np.testing.assert_array_equal(volume.array, array)
    assert volume.array.dtype.isnative
    np.testing.assert_allclose(volume.voxel_to_ras, made.voxel_to_ras, atol=1e-3)
