"""Tokens and the sign-in form in Django's admin."""

from django.contrib import admin
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from accounts.forms import AdminSignIn
from accounts.models import ApiToken

admin.site.login_form = AdminSignIn
admin.site.site_header = admin.site.site_title = "Stile 听序"


@admin.register(ApiToken)
class ApiTokenAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # ModelAdmin takes no type arguments at run time
    """Tokens can be seen, changed and revoked here, but not made: people make their own, in the settings."""

    list_display = ("name", "user", "ends_with", "may", "lane", "weight", "last_used_at", "expires_at", "revoked_at")
    list_select_related = ("user",)
    search_fields = ("name", "user__username")
    fields = (
        *("name", "user", "ends_with", "may", "lane", "weight"),
        *("created_at", "made_by", "last_used_at", "expires_at", "revoked_at"),
    )
    readonly_fields = ("user", "ends_with", "may", "created_at", "made_by", "last_used_at")

    @admin.display(description=_("scopes"))
    def may(self, token: ApiToken) -> str:
        return token.scope_words

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False
