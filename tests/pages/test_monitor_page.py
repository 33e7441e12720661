"""The monitor shows the same numbers as the stats, follows them, and says when it cannot."""

import asyncio
import html
import json
import re
from functools import reduce

import pytest
from django.conf import LazySettings
from django.contrib.auth.models import User
from django.test import Client
from playwright.async_api import Page, WebSocketRoute, expect

from accounts.models import ApiToken
from recordings.models import LiveSession
from tests.support.page_server import Server
from tests.support.rows import Status, make_recording, make_transcription
from transcription import service
from transcription.errors import Misconfigured
from transcription.monitor.stats import monitor_stats
from transcription.servers.dialect import Dialect
from transcription.snapshot import Jobs


def test_the_monitor_is_for_staff(mei: User, jonas: User, client: Client) -> None:
    assert client.get("/admin/asr/monitor/").status_code == 302
    client.force_login(jonas)
    assert client.get("/admin/asr/monitor/").status_code == 302
    assert client.get("/admin/asr/monitor/history").status_code == 302
    assert "Monitor" not in client.get("/").content.decode()
    client.force_login(mei)
    assert client.get("/admin/asr/monitor/").status_code == 200


def test_every_number_is_the_one_that_the_stats_give(mei: User, client: Client) -> None:
    client.force_login(mei)
    page = client.get("/admin/asr/monitor/").content.decode()
    stats = client.get("/api/recordings/stats/asr-concurrency").json() | {"peak": monitor_stats()["peak"]}
    shown = dict(re.findall(r'data-field="([\w.]+)">([^<]*)<', page.split("<h2>")[0] + page.split("<h2>")[-1]))
    shown.pop("since")  # the same moment, written with more digits
    for field, text in shown.items():
        value = reduce(lambda part, name: part[name], field.split("."), stats)
        nothing = "auto" if field == "max_concurrent" else "–"
        expected = nothing if value is None else str(value)
        assert text == expected, field


def test_calls_and_recordings_that_wait_are_told_together_and_apart(
    mei: User, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.force_login(mei)
    make_transcription(make_recording(mei, "Standup"), Status.QUEUED)
    assert "1 waiting" in client.get("/rail").content.decode()
    monkeypatch.setattr(service.client(), "jobs", Jobs(queued=3))  # as the runner tells it
    monkeypatch.setattr(service.client()._tally, "pausing", 2)
    page = client.get("/admin/asr/monitor/").content.decode()
    assert '<dt>Waiting</dt><dd data-field="queued_tasks">5<' in page
    assert '<dt>Calls waiting</dt><dd><span data-field="queued_calls">2<' in page
    assert '<dt>Recordings in line</dt><dd data-field="jobs.queued">3<' in page


async def test_it_follows_and_tells_when_no_data_comes(page: Page) -> None:
    sent: list[str | bytes] = []

    def relay(client_side: WebSocketRoute) -> None:
        server_side = client_side.connect_to_server()

        def change(message: str | bytes) -> None:
            if not sent:
                stats = json.loads(message) | {
                    "active_tasks": 1,
                    "limit": 2,
                    "queued_tasks": 7,
                    "peak": 2,
                    "max_concurrent": 1,
                }
                client_side.send(json.dumps(stats))
            sent.append(message)

        server_side.on_message(change)

    await page.clock.install()
    await page.route_web_socket("/ws/monitor", relay)
    await page.goto("/admin/asr/monitor/")
    await expect(page.locator(".figures [data-field=queued_tasks]")).to_have_text("7")
    await expect(page.locator(".figures .cell")).to_have_count(2)
    await expect(page.locator(".figures .cell.busy")).to_have_count(1)
    await expect(page.get_by_text("above the ceiling: report this")).to_be_visible()
    await expect(page.get_by_text("never above the ceiling")).to_be_hidden()
    await expect(page.locator(".freshness")).to_contain_text("Following")
    await page.clock.fast_forward(12_000)
    await expect(page.locator(".freshness")).to_contain_text("No data since")


async def test_states_and_lanes_are_told_in_the_readers_language(page: Page, server: Server) -> None:
    await page.context.add_cookies([{"name": "django_language", "value": "zh-hans", "url": server.url}])
    state = page.locator("[data-field=breaker]").first

    def relay(client_side: WebSocketRoute) -> None:
        def change(message: str | bytes) -> None:
            stats = json.loads(message)
            stats["servers"][0]["breaker"] = "half-open"
            client_side.send(json.dumps(stats))

        client_side.connect_to_server().on_message(change)

    await page.route_web_socket("/ws/monitor", lambda socket: None)
    await page.goto("/admin/asr/monitor/")
    await expect(state).to_have_text("闭合")
    await expect(page.locator("[data-row^=lanes] th")).to_have_text(["实时", "交互", "批量"])
    await page.route_web_socket("/ws/monitor", relay)
    await page.reload()
    await expect(state).to_have_text("半开")


async def test_the_load_is_drawn_and_told_as_a_table_with_the_reasons_for_each_limit(page: Page) -> None:
    lately = {
        "rows": [[1_700_000_000.0 + 5 * number, 4 - number // 2, number, 2 * number, 1] for number in range(4)],
        "changes": [[1_700_000_010.0, "gpu:8000", 3, "out of memory <b>once</b>"]],
    }
    await page.route("**/admin/asr/monitor/history?*", lambda route: route.fulfill(json=lately))
    await page.goto("/admin/asr/monitor/")
    chart = page.locator("#chart")
    await expect(chart.locator("canvas")).to_be_visible()
    await expect(chart.locator(".changes tr td")).to_have_text(
        [re.compile(r"\d"), "gpu:8000", "3", "out of memory <b>once</b>"]
    )
    await chart.get_by_text("The same as a table").click()
    numbers = await chart.locator(".rows tr").all_inner_texts()
    assert [line.split("\t")[1:] for line in numbers] == [
        ["3", "3", "6", "1"],
        ["3", "2", "4", "1"],
        ["4", "1", "2", "1"],
        ["4", "0", "0", "1"],
    ]
    async with page.expect_request("**/history?minutes=1440"):
        await chart.get_by_label("day").check()


async def test_the_monitor_has_the_colours_chosen_on_the_other_pages(page: Page, server: Server) -> None:
    for theme in ("dark", "light"):
        await page.context.add_cookies([{"name": "theme", "value": theme, "url": server.url}])
        await page.goto("/")
        await page.goto("/admin/asr/monitor/")
        await expect(page.locator("html")).to_have_attribute("data-theme", theme)


async def test_a_person_whose_session_has_ended_is_told(page: Page) -> None:
    await page.route_web_socket("/ws/monitor", lambda socket: socket.close(code=4401))
    await page.goto("/admin/asr/monitor/")
    await expect(page.locator(".freshness")).to_have_text("Not followed any more: sign in again.")


def test_the_admin_names_things_in_the_readers_language(mei: User, client: Client) -> None:
    client.force_login(mei)
    for language, names in (
        ("en", ["Accounts", "API tokens", "Recordings", "Live sessions"]),
        ("zh-hans", ["账户", "API 令牌", "录音", "实时场次", "转写", "字幕", "片段"]),
    ):
        client.cookies["django_language"] = language
        page = client.get("/admin/").content.decode()
        assert [name for name in names if f">{name}</a>" not in re.sub(r"\s*\n\s*", "", page)] == []


def test_the_admin_names_columns_in_the_readers_language_and_scopes_in_words(mei: User, client: Client) -> None:
    client.force_login(mei)
    client.cookies["django_language"] = "zh-hans"
    make_transcription(make_recording(mei, "周会"), Status.DONE, "你好。")
    LiveSession.objects.create(owner=mei)
    ApiToken.issue(mei, "nightly", scopes=["read", "stats"], days=None)
    columns = {}
    for model in ("recording", "transcription", "segment", "livesession"):
        page = client.get(f"/admin/recordings/{model}/").content.decode()
        columns[model] = re.findall(r'<div class="text">(?:<a[^>]*>|<span>)([^<]+)', page)
    tokens = client.get("/admin/accounts/apitoken/").content.decode()
    columns["token"] = re.findall(r'<div class="text">(?:<a[^>]*>|<span>)([^<]+)', tokens)
    assert columns == {
        "recording": ["标题", "所有者", "时长", "来源", "创建时间"],
        "transcription": ["ID", "录音", "状态", "已完成片段", "片段总数", "错误", "创建时间"],
        "segment": ["转写", "序号", "开始", "结束", "文字"],
        "livesession": ["ID", "标题", "所有者", "仅已准备", "公开", "录音", "创建时间", "结束时间"],
        "token": ["名称", "用户", "结尾", "权限", "通道", "轮次权重", "上次使用", "到期时间", "撤销时间"],
    }
    assert "读取, 统计" in tokens


def test_the_admin_explains_fields_in_the_readers_language(mei: User, client: Client) -> None:
    client.force_login(mei)
    client.cookies["django_language"] = "zh-hans"
    made = make_transcription(make_recording(mei, "周会"), Status.DONE, "你好。")
    session = LiveSession.objects.create(owner=mei)
    helps = {}
    for row in (made.recording, made, made.segments.get(), session):
        page = client.get(f"/admin/recordings/{row._meta.model_name}/{row.pk}/change/").content.decode()
        helps[row._meta.model_name] = re.findall(r'class="help"[^>]*>\s*<div>([^<]+)', page)
    assert all(helps.values())
    assert [text for texts in helps.values() for text in texts if not re.search(r"[\u4e00-\u9fff]", text)] == []


def test_staff_change_the_limit_while_it_runs_but_not_above_what_the_settings_say(
    mei: User, jonas: User, client: Client, settings: LazySettings
) -> None:
    settings.ASR_API_URL, settings.ASR_MAX_CONCURRENT = "http://gpu:8000/v1", "4"
    settings.ASR_ADAPTIVE = False
    service.client.cache_clear()
    service.engine.cache_clear()
    try:
        client.force_login(jonas)
        assert client.post("/admin/asr/monitor/limit", {"server": "gpu:8000", "highest": "2"}).status_code == 302
        assert service.total_limit() == 4
        client.force_login(mei)
        for highest, limit, said in (
            ("2", 2, "The limit was changed, until the next start."),
            ("5", 2, "The settings let gpu:8000 have at most 4 calls at once, not 5."),
            ("0", 2, "must be at least 1, not 0"),
            ("two", 2, "The limit stays as it is. It must be a whole number."),
            ("", 4, "The limit was changed, until the next start."),
        ):
            page = client.post("/admin/asr/monitor/limit", {"server": "gpu:8000", "highest": highest}, follow=True)
            assert said in html.unescape(page.content.decode())
            assert service.total_limit() == limit
    finally:
        service.client.cache_clear()
        service.engine.cache_clear()


async def _refuse() -> Dialect:
    raise Misconfigured(
        "HTTP 404: Model 'x' is <not> installed", Dialect("", "x", models=("a", "b")).model_finding, "model"
    )


def test_what_was_found_of_a_server_is_told_in_the_readers_language_with_its_own_words_for_staff_only(
    mei: User, client: Client, settings: LazySettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()  # here it matters what is known of Whisper
    settings.ASR_API_URL = "http://gpu:8000/v1"
    service.client.cache_clear()
    service.engine.cache_clear()
    try:
        known = service.client().pool.servers[0].profile
        known.doubt()
        with pytest.raises(Misconfigured):
            asyncio.run(known.renew(_refuse))
        client.force_login(mei)
        client.cookies["django_language"] = "zh-hans"
        page = client.get("/admin/asr/monitor/").content.decode()
        finding = "Whisper 服务没有模型 x。请在 ASR_MODEL 中填写它已有的模型之一：a, b。"
        words = "HTTP 404: Model 'x' is <not> installed"
        assert finding in page
        assert html.escape(words) in page
        assert client.get("/admin/asr/monitor/history").json()["findings"] == [["gpu:8000", finding, words]]
        library = client.get("/").content.decode()
        assert finding in library
        (server,) = monitor_stats()["servers"]
        assert (server["fits"], server["model"], server["models"]) == (False, "whisper-1", ())
        assert "installed" not in str(server)
    finally:
        service.client.cache_clear()
        service.engine.cache_clear()
