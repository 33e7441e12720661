from django.apps import AppConfig


class AsrsiteConfig(AppConfig):
    name = "asrsite"

    def ready(self) -> None:
        from . import checks  # noqa: F401, PLC0415 registers them; Django loads checks no other way
