"""Sign-in, the settings, and what people set for themselves, signed in or not (language, theme)."""

from django.contrib.auth.views import LogoutView
from django.urls import path
from django.views.i18n import set_language

from accounts import token_pages, views

app_name = "accounts"

urlpatterns = [
    path("setup", views.setup, name="setup"),
    path("accounts/login", views.SignIn.as_view(), name="login"),
    path("accounts/logout", LogoutView.as_view(), name="logout"),
    path("accounts/password", views.Password.as_view(), name="password"),
    path("settings/tokens", token_pages.tokens, name="tokens"),
    path("settings/tokens/<int:pk>/revoke", token_pages.revoke, name="revoke_token"),
    path("accounts/language", set_language, name="language"),
    path("accounts/theme", views.theme, name="theme"),
]
