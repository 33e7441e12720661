"""Firefox and WebKit, Safari's engine: uploads, live captions, recording and listening work in both."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import httpx
import numpy as np
import pytest

from tests.support.audio_files import clip, encode
from tests.support.other_browsers import Browser, Environment, Firefox, WebKit, say, sound
from tests.support.product import NewProduct, Product, transcribed
from tests.support.speaking import Talk, make_talk, place_in, recorded
from tests.support.speaking import sound as samples
from tests.support.waiting import wait_for
from tests.support.whisper_stub import Reply, WhisperStub, http

pytestmark = [
    pytest.mark.slow,  # at the pace of speech
    pytest.mark.filterwarnings("ignore:setting remote_server_addr:DeprecationWarning"),  # of Selenium's own call
]

PASSWORD = "correct horse"
BUSY = "for (const end = Date.now() + 15; Date.now() < end;);"  # five times as long as a block of sound lasts


def sentence(number: int) -> Reply:
    words = ["This", "is", "sentence", f"{number}."]
    timed = [{"word": word, "start": 0.4 * at, "end": 0.4 * at + 0.3} for at, word in enumerate(words, 1)]
    segment = {"start": 0.0, "end": 2.0, "text": " ".join(words)}
    return http(
        200, {"text": segment["text"], "language": "en", "duration": 2.0, "segments": [segment], "words": timed}
    )


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """A product whose Whisper stub gives each answer once. It makes no second pass, so captions stay the transcript."""
    folder = tmp_path_factory.mktemp("product")
    with WhisperStub(replies=[sentence(number) for number in range(1, 500)]) as whisper:
        settings = {"ASR_API_URL": whisper.url, "LIVE_SECOND_PASS": "off", "DJANGO_SUPERUSER_PASSWORD": PASSWORD}
        with NewProduct(folder, **settings) as product:
            product.manage("createsuperuser", "--noinput", "--username=mei", "--email=mei@example.org")
            yield product


@pytest.fixture(scope="module")
def api(product: Product) -> Iterator[httpx.Client]:
    with product.client("mei") as client:
        yield client


@pytest.fixture(scope="module")
def talk(tmp_path_factory: pytest.TempPathFactory) -> Talk:
    """One sentence of 3 s."""
    return make_talk(tmp_path_factory.mktemp("talk") / "talk.wav", [1], lead=0.1)


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Environment]:
    with sound(tmp_path_factory.mktemp("room")) as environment:
        yield environment


@pytest.fixture(scope="module", params=[Firefox, WebKit])
def signed_in(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, product: Product, room: Environment
) -> Iterator[Browser]:
    with request.param.at(product.url, tmp_path_factory.mktemp("browser"), room) as browser:
        browser.open("/")
        browser.see("[name=username]").send_keys("mei")
        browser.see("[name=password]").send_keys(PASSWORD)
        browser.see("main .button").click()
        browser.see("#drop")
        yield browser


@pytest.fixture
def browser(signed_in: Browser) -> Iterator[Browser]:
    yield signed_in
    assert signed_in.faults() == []


def recording(browser: Browser) -> int:
    """Wait until the browser is on a recording's page, and return the id of the recording."""
    return int(browser.until("location.pathname.startsWith('/recordings/') && location.pathname").rpartition("/")[2])


def assert_plays(browser: Browser) -> None:
    browser.see("#play").click()
    browser.until("audio.currentTime > 0.3")
    browser.see("#play").click()
    browser.until("audio.paused")


def assert_heard(api: httpx.Client, pk: int, talk: Talk) -> None:
    """Assert that two thirds of the talk were recorded. WebKit's microphone can stutter once, which delays the rest."""
    heard = recorded(api, pk)
    alike = sorted(place_in(heard, part)[1] for part in np.array_split(samples(talk.clips[0].path), 3))
    assert alike[1] > 0.8, alike


def test_a_file_becomes_a_row_is_heard_and_follows_a_click_on_a_word(
    browser: Browser, api: httpx.Client, tmp_path: Path
) -> None:
    """The file is of a kind that no browser plays: the page has a copy."""
    file = encode(tmp_path / "phone.amr", clip(), codec="libopencore_amrnb", rate=8000, encoder={"b": "12200"})
    browser.open("/")
    browser.until("document.getElementById('files')").send_keys(str(file))
    browser.until("[...document.querySelectorAll('#rows h2 a')].find((one) => one.text === 'phone')").click()
    pk = recording(browser)
    transcribed(api, pk)
    wait_for(lambda: "webm" in api.head(f"/api/recordings/{pk}/audio").headers["Content-Type"], "the copy")
    browser.open(f"/recordings/{pk}")
    browser.until("audio.duration > 7 && audio.duration < 7.5")
    assert_plays(browser)
    x, y, word = browser.run("""
        const range = new Range(), text = document.querySelector(".line").firstChild;
        range.setStart(text, 8); range.setEnd(text, 16);
        const { x, y, width, height } = range.getBoundingClientRect();
        return [x + width / 2, y + height / 2, range.toString()];
    """)
    assert word == "sentence"
    browser.click_at(x, y)
    browser.until("Math.abs(audio.currentTime - 1.2) < 0.1")
    browser.until("[...CSS.highlights.get('word')].map(String).join() === 'sentence'")
    api.delete(f"/api/recordings/{pk}")  # the next browser uploads the same file


def test_what_is_said_is_read_here_and_elsewhere_and_becomes_a_recording(
    browser: Browser, api: httpx.Client, room: Environment, talk: Talk
) -> None:
    browser.open("/live")
    browser.see("#name").send_keys("Stand-up")
    browser.see(".begin").click()
    link = browser.until("document.getElementById('viewer').href")
    speaker = browser.driver.current_window_handle
    browser.driver.switch_to.new_window("window")
    viewer = browser.driver.current_window_handle
    browser.driver.get(link)
    browser.driver.switch_to.window(speaker)
    say(talk, room)
    browser.see("#log p")
    browser.see("#stop").click()
    pk = recording(browser)
    written = browser.texts("#text .line")
    browser.driver.switch_to.window(viewer)
    browser.see("[data-notice=ended]")
    read = browser.texts("#log p")
    browser.driver.close()
    browser.driver.switch_to.window(speaker)
    assert read == written
    assert len(read) >= 1
    assert_heard(api, pk, talk)


def test_a_take_outlives_a_reload_and_is_as_long_as_it_was(
    browser: Browser, api: httpx.Client, room: Environment, talk: Talk
) -> None:
    browser.open("/record")
    browser.see("#name").send_keys("Memo")
    browser.see(".begin").click()
    browser.see("#pause")
    say(talk, room)
    shown = browser.run("return Number(document.getElementById('clock').textContent.split(':')[1])")
    browser.driver.refresh()
    browser.see("#open li")
    assert browser.texts("#open .name") == ["Memo"]
    browser.see("#open [data-do=save]").click()
    pk = recording(browser)
    made = api.get(f"/api/recordings/{pk}").json()
    assert shown <= made["duration"] < shown + 3
    assert browser.until("audio.duration") == pytest.approx(made["duration"], abs=0.05)
    assert_plays(browser)
    assert_heard(api, pk, talk)


@contextmanager
def served(folder: Path) -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=folder)) as server:
        Thread(target=server.serve_forever).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


def test_webkit_outlives_microphones_closed_amid_a_block(tmp_path: Path, room: Environment) -> None:
    """WebKit's sound thread ends its block after the close. If that block counts as audible, the page crashes."""
    page, microphones = tmp_path / "page", 12
    shutil.copytree("static/js/live", page)
    worklet, begin = page / "worklet.js", "process([channels]) {"
    assert begin in worklet.read_text()
    worklet.write_text(worklet.read_text().replace(begin, begin + BUSY))
    (page / "index.html").write_text(f"""<button>open</button><script type="module">
        import {{ Microphone }} from "./microphone.js";
        const pause = (seconds) => new Promise((done) => setTimeout(done, 1000 * seconds));
        document.querySelector("button").onclick = async () => {{
          for (window.closed_ = 0; closed_ < {microphones}; closed_++) {{
            let heard = false;
            const microphone = new Microphone("worklet.js", () => {{ heard = true; }});
            await microphone.start("");
            while (!heard) await pause(0.01);
            microphone.stop();
            await pause(0.2);
          }}
        }};
    </script>""")
    with served(page) as url, WebKit.at(url, tmp_path, room) as browser:
        browser.open("/index.html")
        browser.see("button").click()
        browser.until(f"window.closed_ === {microphones}")
