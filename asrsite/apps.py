from django.apps import AppConfig


class AsrsiteConfig(AppConfig):
    name = "asrsite"
