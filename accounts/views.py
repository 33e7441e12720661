"""Pages of the first run, sign-in, password and theme."""

from typing import Any

from django.conf import settings
from django.contrib import messages
from django.contrib.auth import get_user_model, login
from django.contrib.auth.forms import AuthenticationForm, PasswordChangeForm, SetPasswordForm
from django.contrib.auth.models import User
from django.contrib.auth.views import LoginView, PasswordChangeView
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.shortcuts import redirect, render
from django.urls import reverse_lazy
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from accounts.forms import ThrottledSignIn
from accounts.links import forget_file
from accounts.models import SignInLink

THEMES = ("light", "dark")
THEME_COOKIE_AGE = 365 * 24 * 3600  # seconds


@never_cache
@require_GET  # not HEAD, so that a link checker does not use the link up
def setup(request: HttpRequest) -> HttpResponse:
    """Sign the first administrator in, once, by the link that `make run` and `manage.py sign_in_link` print."""
    with transaction.atomic():
        if not SignInLink.redeem(request.GET.get("token", "")):
            return render(request, "accounts/used_link.html", status=404)
        administrator = first_administrator()
    forget_file()
    login(request, administrator, backend="django.contrib.auth.backends.ModelBackend")
    return redirect("recordings:library")


def first_administrator() -> User:
    """The oldest superuser; without one, the user `admin` becomes one, with no usable password."""
    users = get_user_model().objects
    if superuser := users.filter(is_superuser=True, is_active=True).order_by("pk").first():
        return superuser
    rights = {"is_superuser": True, "is_staff": True, "is_active": True}
    administrator, created = users.update_or_create(username="admin", defaults=rights)
    if created:
        administrator.set_unusable_password()
        administrator.save()
    return administrator


class SignIn(LoginView):
    """Sign-in page; a throttled try gets a 429 with a Retry-After."""

    form_class = ThrottledSignIn
    template_name = "accounts/login.html"
    redirect_authenticated_user = True

    def form_invalid(self, form: AuthenticationForm) -> HttpResponse:
        for error in form.errors.as_data().get("__all__", []):
            if error.code == "throttled":
                response = render(self.request, "429.html", status=429)
                response["Retry-After"] = str((error.params or {})["wait"])
                return response
        return super().form_invalid(form)


class Password(PasswordChangeView):
    """Password page. A person without a password, signed in by the link, is not asked for the old one. A new password
    ends all other sessions.
    """

    template_name = "accounts/password.html"
    success_url = reverse_lazy("recordings:library")

    def get_form_class(self) -> type[Any]:
        assert isinstance(self.request.user, User)  # noqa: S101  the view requires a signed-in user
        return PasswordChangeForm if self.request.user.has_usable_password() else SetPasswordForm

    def form_valid(self, form: Any) -> HttpResponse:
        messages.success(self.request, _("The password is set."))
        return super().form_valid(form)


@require_POST
def theme(request: HttpRequest) -> HttpResponseBase:
    """Keep `light` or `dark` in a cookie, so that the first paint is right. Any other value follows the system."""
    target = request.POST.get("next", "")
    if not url_has_allowed_host_and_scheme(target, {request.get_host()}, request.is_secure()):
        target = "/"
    response = HttpResponseRedirect(target)
    if (chosen := request.POST.get("theme")) in THEMES:
        response.set_cookie(
            "theme",
            chosen,
            max_age=THEME_COOKIE_AGE,
            samesite="Lax",
            secure=settings.SESSION_COOKIE_SECURE,
            httponly=True,
        )
    else:
        response.delete_cookie("theme", samesite="Lax")
    return response
