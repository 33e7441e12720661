"""The settings under mouse, finger and keys."""

from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from playwright.async_api import Page, expect

from accounts.models import ApiToken
from accounts.tokens import make_token


async def clipboard(page: Page) -> str:
    await page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    text: str = await page.evaluate("navigator.clipboard.readText()")
    return text


async def test_a_token_is_made_and_copied_by_keys_alone(page: Page) -> None:
    await page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    await page.goto("/")
    await page.get_by_label("You and how this looks").press("Enter")
    await page.get_by_role("link", name="Settings").press("Enter")
    await page.get_by_role("link", name="API tokens").press("Enter")
    await page.get_by_label("Name").focus()
    await page.keyboard.type("laptop")
    for key in ("Tab", "Space", "Tab", "Space", "Tab", "Tab", "Space"):  # neither read nor write, but statistics
        await page.keyboard.press(key)
    await page.get_by_label("Name").focus()
    await page.keyboard.press("Enter")
    secret = page.get_by_label("The token “laptop”")
    page_secret = await secret.input_value()
    copy = page.get_by_role("button", name="Copy")
    await expect(copy).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("button", name="Copied")).to_be_focused()
    assert await clipboard(page) == page_secret
    token = await ApiToken.authenticate(page_secret)
    assert token is not None
    assert token.scopes == ["transcribe", "stats"]
    await page.reload()
    await expect(page.locator(".tokens h2")).to_contain_text("laptop")
    assert page_secret not in await page.content()


async def test_a_token_is_revoked_after_a_question(page: Page, mei: User) -> None:
    for name in ("laptop", "nightly import"):
        await sync_to_async(make_token)(mei, name, scopes=["read"], days=None)
    await page.goto("/settings/tokens")
    button = page.get_by_role("button", name="Revoke “laptop”")
    question = page.get_by_role("dialog")
    for answer, left in (("Keep it", 2), ("Revoke", 1)):
        box = await button.bounding_box()
        assert box
        await page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        await expect(question).to_contain_text("Revoke “laptop”? Programs that use it stop working at once.")
        await question.get_by_role("button", name=answer).click()
        await expect(question).to_be_hidden()
        await expect(page.locator(".tokens .row")).to_have_count(left)
    await expect(page.get_by_role("status").filter(has_text="revoked")).to_be_visible()
    assert [token.name async for token in ApiToken.living()] == ["nightly import"]


async def test_the_focus_stays_among_the_tokens_when_one_is_revoked(page: Page, mei: User) -> None:
    for name in ("laptop", "nightly import"):
        await sync_to_async(make_token)(mei, name, scopes=["read"], days=None)
    await page.goto("/settings/tokens")
    await page.get_by_role("button", name="Revoke “nightly import”").press("Enter")
    await page.get_by_role("dialog").get_by_role("button", name="Revoke").press("Enter")
    await expect(page.locator(".tokens .row")).to_have_count(1)
    await expect(page.get_by_role("button", name="Revoke “laptop”")).to_be_focused()


async def test_what_is_wrong_with_a_token_is_said_where_it_was_typed(page: Page) -> None:
    await page.goto("/settings/tokens")
    await page.get_by_label("Name").fill("laptop")
    for box in ("Read:", "Write:", "Transcribe:"):
        await page.get_by_label(box).uncheck()
    await page.get_by_role("button", name="Make the token").click()
    await expect(page.get_by_role("alert").filter(has_text="Choose at least one.")).to_be_visible()
    await expect(page.get_by_label("Name")).to_have_value("laptop")
    await page.get_by_label("Read:").check()
    await page.get_by_role("button", name="Make the token").click()
    await expect(page.get_by_label("The token “laptop”")).to_be_visible()


async def test_what_was_chosen_for_a_token_is_there_after_the_sign_in(page: Page) -> None:
    await page.goto("/settings/tokens")
    await page.get_by_label("Name").fill("laptop")
    await page.get_by_label("Write:").uncheck()
    await page.get_by_label("Statistics:").check()
    await page.locator("#tokens [name=weight]").fill("3")
    await page.locator("#tokens [name=lane]").select_option("batch")
    await Session.objects.all().adelete()
    await page.get_by_role("button", name="Make the token").click()
    await page.locator("[name=username]").fill("mei")
    await page.locator("[name=password]").fill("correct horse")
    await page.locator("main form button").click()
    await expect(page.get_by_label("Name")).to_have_value("laptop")
    await page.get_by_role("button", name="Make the token").click()
    await expect(page.get_by_label("The token “laptop”")).to_be_visible()
    token = await ApiToken.objects.aget()
    assert (token.scopes, token.lane, token.weight) == (["read", "transcribe", "stats"], "batch", 3)
