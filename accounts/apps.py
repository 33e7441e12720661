from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "accounts"

    def ready(self) -> None:
        from accounts import rights  # noqa: PLC0415  its models exist from now on

        rights.watch()
