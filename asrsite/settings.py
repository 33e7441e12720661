"""Settings, read from the environment and from `.env`, if there is one. `.env.example` explains each name."""

import os
import secrets
import sys
import tomllib
from pathlib import Path

import django_stubs_ext
import environ
from csp.constants import NONCE, NONE, SELF

from web.private import keep_to_oneself, private_folder

django_stubs_ext.monkeypatch()  # allows type arguments of classes such as ModelAdmin

BASE_DIR = Path(__file__).resolve().parent.parent
VERSION: str = tomllib.loads((BASE_DIR / "pyproject.toml").read_text())["project"]["version"]

env = environ.Env()
env.read_env(BASE_DIR / ".env")

# Folder of everything that is kept: database, recordings, the secret key.
DATA_DIR = Path(env.str("DATA_DIR", default="./data"))
if not DATA_DIR.is_absolute():
    DATA_DIR = BASE_DIR / DATA_DIR
keep_to_oneself()
private_folder(DATA_DIR)


def _secret_key() -> str:
    """The key from the environment, else a key made once and kept in DATA_DIR, which only its owner may read."""
    key: str = env.str("SECRET_KEY", default="")
    if key:
        return key
    path = DATA_DIR / "secret-key"
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_urlsafe(50))
    except FileExistsError:
        pass
    return path.read_text()


SECRET_KEY = _secret_key()
DEBUG = env.bool("DEBUG", default=False)
HOST = env.str("HOST", default="127.0.0.1")
PORT = env.int("PORT", default=8000)
MAX_CONNECTIONS = env.int("MAX_CONNECTIONS", default=2000)
MAX_CONNECTIONS_PER_ADDRESS = env.int("MAX_CONNECTIONS_PER_ADDRESS", default=500)  # 0: any number
CLIENT_TIMEOUT = env.float("CLIENT_TIMEOUT", default=60.0)  # seconds
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"])
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])
TRUSTED_PROXIES = env.list("TRUSTED_PROXIES", default=[])  # addresses and networks
URL_PREFIX = env.str("URL_PREFIX", default="").rstrip("/")  # e.g. /stile
FORCE_SCRIPT_NAME = URL_PREFIX or None

# --- Whisper -----------------------------------------------------------------------------------
ASR_API_URL = env.str("ASR_API_URL", default="")
ASR_API_KEY = env.str("ASR_API_KEY", default="")
ASR_SERVERS = env.str("ASR_SERVERS", default="")  # a file, relative to BASE_DIR
ASR_MODEL = env.str("ASR_MODEL", default="")
ASR_LIVE_MODEL = env.str("ASR_LIVE_MODEL", default="")
ASR_MAX_CONCURRENT = env.str("ASR_MAX_CONCURRENT", default="")  # a number, or "auto"; empty: see service.ceiling
ASR_MIN_CONCURRENT = env.int("ASR_MIN_CONCURRENT", default=1)
ASR_ADAPTIVE = env.bool("ASR_ADAPTIVE", default=True)
ASR_LIVE_TARGET = env.float("ASR_LIVE_TARGET", default=1.5)  # seconds
ASR_MAX_QUEUE = env.int("ASR_MAX_QUEUE", default=100)
ASR_MAX_RETRIES = env.int("ASR_MAX_RETRIES", default=3)
ASR_RETRY_DELAY = env.float("ASR_RETRY_DELAY", default=5.0)  # seconds
ASR_REQUEST_TIMEOUT = env.float("ASR_REQUEST_TIMEOUT", default=300.0)  # seconds
ASR_ABANDONED_GRACE = env.float("ASR_ABANDONED_GRACE", default=30.0)  # seconds
ASR_ALLOW_BYPASS = env.bool("ASR_ALLOW_BYPASS", default=False)
ASR_EMBEDDED_MODEL = env.str("ASR_EMBEDDED_MODEL", default="base")
ASR_CA_BUNDLE = env.str("ASR_CA_BUNDLE", default="")

# --- Limits ------------------------------------------------------------------------------------
MAX_UPLOAD_BYTES = env.int("MAX_UPLOAD_BYTES", default=2 * 1024**3)
MAX_AUDIO_HOURS = env.float("MAX_AUDIO_HOURS", default=12.0)
USER_MAX_BYTES = env.int("USER_MAX_BYTES", default=0)  # 0: no limit
DISK_RESERVE = env.int("DISK_RESERVE", default=None)  # bytes; None: see recordings.storage.space
USER_MAX_QUEUED = env.int("USER_MAX_QUEUED", default=200)
USER_MAX_LIVE = env.int("USER_MAX_LIVE", default=4)
LIVE_PATIENCE = env.float("LIVE_PATIENCE", default=600.0)  # seconds
LIVE_SECOND_PASS = env.bool("LIVE_SECOND_PASS", default=True)
METRICS_TOKEN = env.str("METRICS_TOKEN", default="")
METRICS_ALLOWED = env.list("METRICS_ALLOWED", default=[])  # addresses and networks

# --- Applications ------------------------------------------------------------------------------
INSTALLED_APPS = [
    # First, so that its runserver replaces Django's. Only there, since it loads Twisted: a third of a command's start.
    *(["daphne"] if sys.argv[1:2] == ["runserver"] else []),
    "accounts",
    "recordings",
    "transcription",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.humanize",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "channels",
    "csp",
    "django_htmx",
    "ninja",
    "asrsite",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "csp.middleware.CSPMiddleware",
    "web.static.StaticFilesMiddleware",
    "web.compression.CompressionMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "web.zones.reader_zone",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "asrsite.errors.SaidToScripts",
]

ROOT_URLCONF = "asrsite.urls"
ASGI_APPLICATION = "asrsite.asgi.application"
APPEND_SLASH = True

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.template.context_processors.i18n",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "asrsite.context.version",
            ],
        },
    }
]

# --- Database, channel layer, cache, files -----------------------------------------------------
DATABASES = {"default": env.db_url("DATABASE_URL", default=f"sqlite:///{DATA_DIR / 'stile.sqlite3'}")}
if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    DATABASES["default"]["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",  # takes the write lock first, so that no read has to be upgraded: no deadlock
        "timeout": 20,  # seconds to wait for another writer
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
    }
    # In a file like the real one, since threads do not share a database in memory.
    DATABASES["default"]["TEST"] = {"NAME": DATA_DIR / "test.sqlite3"}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

REDIS_URL = env.str("REDIS_URL", default="")
CHANNEL_LAYERS = {
    "default": {"BACKEND": "channels_redis.core.RedisChannelLayer", "CONFIG": {"hosts": [REDIS_URL]}}
    if REDIS_URL
    else {"BACKEND": "channels.layers.InMemoryChannelLayer"}
}

# Counts of the throttles. Django's default of 300 entries is too few: a dropped count begins anew.
CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache", "OPTIONS": {"MAX_ENTRIES": 20_000}}}

MEDIA_ROOT = DATA_DIR / "media"
FILE_UPLOAD_TEMP_DIR = DATA_DIR / "incoming"  # same file system as the media: a whole file is moved, not copied
LIVE_ROOT = DATA_DIR / "live"  # the same, for live sessions
FILE_UPLOAD_HANDLERS = ["recordings.intake.form.UploadHandler"]
DATA_UPLOAD_MAX_NUMBER_FILES = 1
for _folder in (MEDIA_ROOT, FILE_UPLOAD_TEMP_DIR):
    private_folder(_folder)
FILE_UPLOAD_PERMISSIONS, FILE_UPLOAD_DIRECTORY_PERMISSIONS = 0o600, 0o700  # Django's defaults let everyone read

STATIC_URL = f"{URL_PREFIX}/static/"
STATIC_ROOT = BASE_DIR / "staticfiles"
STATICFILES_DIRS = [BASE_DIR / "static"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "web.static.StaticFilesStorage",
        "OPTIONS": {"file_permissions_mode": 0o644, "directory_permissions_mode": 0o755},
    },
}

SESSION_ENGINE = "accounts.sessions"

# --- People ------------------------------------------------------------------------------------
LANGUAGE_CODE = env.str("LANGUAGE_CODE", default="en")
LANGUAGES = [("en", "English"), ("zh-hans", "简体中文")]
LOCALE_PATHS = [BASE_DIR / "locale"]
TIME_ZONE = env.str("TIME_ZONE", default="UTC")
USE_TZ = True

LOGIN_URL = "accounts:login"
LOGIN_REDIRECT_URL = "recordings:library"
LOGOUT_REDIRECT_URL = "accounts:login"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in ("UserAttributeSimilarityValidator", "MinimumLengthValidator", "CommonPasswordValidator")
]

# --- Security ----------------------------------------------------------------------------------
# Behind TLS the trusted origins are https, and cookies are secure. A request's scheme is that of its scope, which
# `asgi` takes from the X-Forwarded-Proto of a trusted proxy; Django's own setting believes the header of anybody.
BEHIND_TLS = any(origin.startswith("https://") for origin in CSRF_TRUSTED_ORIGINS)
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = LANGUAGE_COOKIE_SECURE = BEHIND_TLS
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = LANGUAGE_COOKIE_SAMESITE = "Lax"
SECURE_HSTS_SECONDS = 3600 if BEHIND_TLS else 0
SECURE_SSL_REDIRECT = BEHIND_TLS
SECURE_REDIRECT_EXEMPT = [rf"^{URL_PREFIX[1:]}/?(healthz|readyz|metrics)$"]  # probes come from inside, without TLS
# HSTS for subdomains and the preload lists are decisions of the domain's owner.
SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W021"]
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF, NONCE],
        "img-src": [SELF, "data:"],
        "font-src": [SELF],
        "media-src": [SELF, "blob:"],
        "connect-src": [SELF],
        "worker-src": [SELF],
        "manifest-src": [SELF],
        "form-action": [SELF],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
    }
}

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "line": {"()": "web.log_secrets.Formatter", "fmt": "{asctime} {levelname:<7} {name}: {message}", "style": "{"}
    },
    "filters": {"rate": {"()": "web.log_rate.LogRate", "keep": "[ASR并发]"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line", "filters": ["rate"]}},
    "root": {"handlers": ["console"], "level": "INFO"},
    "loggers": {
        "httpx": {"level": "WARNING"},
        "daphne": {"level": "WARNING"},
        "uvicorn.error": {"level": "WARNING"},
    },
}
