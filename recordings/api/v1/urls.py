"""Addresses under /v1."""

from django.urls import path

from .audio import audio
from .door import nothing_here
from .models import model, models

urlpatterns = [
    path("audio/transcriptions", audio, {"translate": False}),
    path("audio/translations", audio, {"translate": True}),
    path("models", models),
    path("models/<path:name>", model),
    path("<path:rest>", nothing_here),
]
