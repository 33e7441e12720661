"""Debian's Firefox and WebKit (Safari's engine), driven with Selenium, and a microphone for them.

Each test has its own sound server, screen and profile, and shares none with the machine.
"""

import itertools
import json
import os
import socket
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from selenium.webdriver import FirefoxOptions, Remote, WebKitGTK, WebKitGTKOptions
from selenium.webdriver.common.actions.action_builder import ActionBuilder
from selenium.webdriver.remote.command import Command
from selenium.webdriver.remote.file_detector import UselessFileDetector
from selenium.webdriver.remote.remote_connection import RemoteConnection
from selenium.webdriver.remote.webdriver import WebDriver
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.webkitgtk.service import Service

from tests.support.speaking import Talk
from tests.support.waiting import PATIENCE, wait_for

Environment = dict[str, str]

SOUND = [
    "module-null-sink sink_name=loudspeaker",  # the default: what a page plays is not what the microphone hears
    "module-null-sink sink_name=voice rate=48000 channels=1",
    "module-remap-source source_name=microphone master=voice.monitor",  # a bare monitor is no microphone to WebKit
]
PREFERENCES = {
    "marionette.port": 0,  # any that is free
    "media.autoplay.default": 0,  # as in the other browsers
    "media.navigator.permission.disabled": True,  # there is nobody to ask for the microphone
}


@contextmanager
def running(*command: str, environment: Environment, log: Path, pass_fds: tuple[int, ...] = ()) -> Iterator[None]:
    with log.open("w") as output:
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=output, pass_fds=pass_fds)
    try:
        yield
    finally:
        process.terminate()
        process.wait(PATIENCE)


@contextmanager
def sound(folder: Path) -> Iterator[Environment]:
    """Run a sound server. Programs with the returned environment use it."""
    environment = os.environ | {"HOME": str(folder), "XDG_RUNTIME_DIR": str(folder), "PULSE_SERVER": f"{folder}/socket"}
    modules = [f"module-native-protocol-unix socket={folder}/socket auth-anonymous=1", *SOUND]
    command = ["pulseaudio", "-n", "--daemonize=no", "--use-pid-file=no", "--exit-idle-time=-1"]
    command += [f"--load={module}" for module in modules]
    with running(*command, environment=environment, log=folder / "log"):
        wait_for((folder / "socket").exists, "the sound server")
        yield environment


def say(talk: Talk, environment: Environment) -> None:
    """Play the talk into the microphone, to its end."""
    subprocess.run(["paplay", "--device=voice", str(talk.path)], env=environment, check=True)


class Browser(ABC):
    """A browser at the product, with one window at a time."""

    def __init__(self, driver: WebDriver, url: str) -> None:
        self.driver, self.url = driver, url

    def open(self, path: str) -> None:
        self.driver.get(self.url + path)

    def run(self, script: str) -> Any:
        return self.driver.execute_script(script)

    def until(self, expression: str) -> Any:
        """Wait until the expression is true on the page, and return its value."""
        return wait_for(lambda: self.run(f"return {expression}"), expression)

    def see(self, selector: str) -> WebElement:
        """Wait until one of these elements is visible, and return the first that is."""
        shown = f"[...document.querySelectorAll({json.dumps(selector)})].find((one) => one.checkVisibility())"
        element: WebElement = self.until(shown)
        return element

    def texts(self, selector: str) -> list[str]:
        texts = f"return [...document.querySelectorAll({json.dumps(selector)})].map((one) => one.textContent)"
        found: list[str] = self.run(texts)
        return found

    def click_at(self, x: float, y: float) -> None:
        actions = ActionBuilder(self.driver)
        actions.pointer_action.move_to_location(x, y).click()  # type: ignore[no-untyped-call]
        actions.perform()

    @abstractmethod
    def faults(self) -> list[str]:
        """The errors that the browser reported since the previous call."""


class Firefox(Browser):
    @classmethod
    @contextmanager
    def at(cls, url: str, folder: Path, environment: Environment) -> Iterator["Firefox"]:
        lines = [f"user_pref({json.dumps(name)}, {json.dumps(value)});" for name, value in PREFERENCES.items()]
        (folder / "user.js").write_text("\n".join(lines))
        command = ["firefox-esr", "--headless", "--marionette", "--remote-allow-system-access"]
        command += ["--profile", str(folder)]
        port = folder / "MarionetteActivePort"
        with running(*command, environment=environment, log=folder / "log"):
            wait_for(lambda: port.exists() and port.read_text(), "Firefox")
            firefox = Marionette(int(port.read_text()))
            with Remote(firefox, options=FirefoxOptions(), file_detector=UselessFileDetector()) as driver:
                yield cls(driver, url)

    def faults(self) -> list[str]:
        self.driver.execute("setContext", {"value": "chrome"})
        said: list[list[str]] = self.run("""
            const said = Services.console.getMessageArray().filter((one) => one instanceof Ci.nsIScriptError);
            Services.console.reset();
            const errors = said.filter((one) => !(one.flags & Ci.nsIScriptError.warningFlag));
            return errors.map((one) => [one.sourceName, one.errorMessage]);
        """)
        self.driver.execute("setContext", {"value": "content"})
        return [message for source, message in said if source.startswith(self.url)]


class Marionette(RemoteConnection):
    """Firefox's own protocol: WebDriver's commands by other names. Debian has no geckodriver to translate them."""

    NAMES = {
        Command.NEW_SESSION: "WebDriver:NewSession",
        Command.QUIT: "Marionette:Quit",
        Command.GET: "WebDriver:Navigate",
        Command.REFRESH: "WebDriver:Refresh",
        Command.CLICK_ELEMENT: "WebDriver:ElementClick",
        Command.SEND_KEYS_TO_ELEMENT: "WebDriver:ElementSendKeys",
        Command.W3C_ACTIONS: "WebDriver:PerformActions",
        Command.W3C_EXECUTE_SCRIPT: "WebDriver:ExecuteScript",
        Command.NEW_WINDOW: "WebDriver:NewWindow",
        Command.SWITCH_TO_WINDOW: "WebDriver:SwitchToWindow",
        Command.W3C_GET_CURRENT_WINDOW_HANDLE: "WebDriver:GetWindowHandle",
        Command.CLOSE: "WebDriver:CloseWindow",
        "setContext": "Marionette:SetContext",
    }

    def __init__(self, port: int) -> None:
        self._numbers = itertools.count()
        self._socket = socket.create_connection(("127.0.0.1", port), 60)
        self._stream = self._socket.makefile("rwb")
        self._receive()  # its greeting

    def execute(self, command: str, params: dict[str, Any]) -> dict[str, Any]:
        message = json.dumps([0, next(self._numbers), self.NAMES[command], params]).encode()
        self._stream.write(b"%d:%b" % (len(message), message))
        self._stream.flush()
        _, _, error, result = self._receive()
        if error:
            return {"status": error["error"], "value": error}
        return result if isinstance(result, dict) and "value" in result else {"value": result}

    def _receive(self) -> Any:
        length = b"".join(iter(lambda: self._stream.read(1), b":"))
        return json.loads(self._stream.read(int(length)))

    def close(self) -> None:
        self._stream.close()
        self._socket.close()


class WebKit(Browser):
    # WebKit gives nobody its console. So this script runs before each command: it keeps the faults of the page.
    LISTEN = """
        if (!window.listening) {
            let left = false;
            addEventListener("beforeunload", () => { left = true; });
            const kept = () => localStorage.faults ?? "";
            const keep = (what) => { if (what && !left) localStorage.faults = `${kept()}${what}\\n`; };
            const note = (what) => setTimeout(keep, 100, what); // a page that is left fails at what it was about to do
            const on = (name, say) => addEventListener(name, (event) => note(say(event)), true);
            const missing = ({ src, href, localName }) => localName === "audio" ? "" : `${src ?? href} is missing`;
            on("error", ({ message, target }) => message ?? missing(target)); // of sound, the page itself tells
            on("unhandledrejection", ({ reason }) => reason);
            on("securitypolicyviolation", ({ effectiveDirective: what, blockedURI }) => `${what}: ${blockedURI}`);
            console.error = console.warn = (...words) => note(words.join(" "));
            for (const { src } of document.querySelectorAll("script[type=module]")) import(src).catch(note);
            window.listening = true;
        }
    """

    @classmethod
    @contextmanager
    def at(cls, url: str, folder: Path, environment: Environment) -> Iterator["WebKit"]:
        with screen(folder, environment) as display:
            ahead = {"preexec_fn": ahead_of_others}
            service = Service("/usr/bin/WebKitWebDriver", env=environment | {"DISPLAY": display}, popen_kw=ahead)
            with WebKitGTK(options=WebKitGTKOptions(), service=service) as driver:
                driver.set_window_rect(width=1280, height=900)
                yield cls(driver, url)

    def run(self, script: str) -> Any:
        return super().run(self.LISTEN + script)

    def faults(self) -> list[str]:
        said: str = self.run("const said = localStorage.faults ?? ''; delete localStorage.faults; return said;")
        return said.splitlines()


def ahead_of_others() -> None:
    """Raise the process's priority if allowed, as desktops do for sound: else a busy machine makes sound stutter."""
    with suppress(PermissionError):
        os.nice(-10)


@contextmanager
def screen(folder: Path, environment: Environment) -> Iterator[str]:
    """Run a virtual screen, and return its display name."""
    reading, writing = os.pipe()
    command = ["Xvfb", "-displayfd", str(writing), "-screen", "0", "1400x1000x24", "-nolisten", "tcp"]
    with running(*command, environment=environment, log=folder / "log", pass_fds=(writing,)), open(reading) as number:
        os.close(writing)
        yield f":{number.readline().strip()}"
