"""Settings of the project. Everything that differs between machines comes from the environment.

`.env.example` names each variable with a line on what it does; a `.env` beside manage.py is read.
"""

import warnings
from pathlib import Path

import environ

BASE_DIR = Path(__file__).resolve().parent.parent

env = environ.Env()
env.read_env(BASE_DIR / ".env")

DEBUG = env.bool("DEBUG", default=False)
SECRET_KEY = env.str("SECRET_KEY")
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"])
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])

# django-q2 warns at import where its own timeout is off for some tasks; ours are timed by our
# executor, and its plain tasks by the values below.
warnings.filterwarnings("ignore", message="Retry and timeout are misconfigured")

# whitenoise: where collectstatic has not run, the finders serve.
warnings.filterwarnings("ignore", message="No directory at")

INSTALLED_APPS = [
    "scheduling.apps.SchedulingConfig",  # before django_q: its qcluster command takes the place of django-q2's
    "markets.apps.MarketsConfig",
    "django_q",
    "django.contrib.admin.apps.SimpleAdminConfig",  # loaded with the URLs: hosts do without, 0.4 MB a process
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"
ASGI_APPLICATION = "config.asgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

DATABASES = {"default": env.db("DATABASE_URL", default=f"sqlite:///{BASE_DIR / 'db.sqlite3'}")}
if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    # IMMEDIATE: a transaction that begins by reading and then writes fails at once otherwise.
    # 30 s: while a mutation runs, whatever else writes waits for it.
    DATABASES["default"]["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 30,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
    }
    DATABASES["default"]["TEST"] = {"NAME": env.str("TEST_SQLITE", default=str(BASE_DIR / "test.sqlite3"))}
else:
    # A server that is gone without a word (a pulled cable, a dead machine, a firewall that forgot) is known to be
    # after 10 s, and not after hours: before other hosts would take this one for dead. The URL may say otherwise:
    # postgresql://…?tcp_user_timeout=30000
    DATABASES["default"]["OPTIONS"] = {
        "connect_timeout": 5,  # seconds
        "keepalives_idle": 5,
        "keepalives_interval": 2,
        "tcp_user_timeout": 10_000,  # milliseconds
        "prepare_threshold": 5,  # plans of statements that come often are kept
        **DATABASES["default"].get("OPTIONS", {}),
    }
    if not DATABASES["default"]["OPTIONS"]["prepare_threshold"]:
        # postgresql://…?prepare_threshold=0: behind a pooler that gives each transaction another session
        DATABASES["default"]["OPTIONS"]["prepare_threshold"] = None
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]

LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"
USE_I18N = True
USE_TZ = True

STATIC_URL = "static/"
STATIC_ROOT = BASE_DIR / "staticfiles"
STATICFILES_DIRS: list[Path] = []
WHITENOISE_USE_FINDERS = True

Q_CLUSTER = {
    "name": "scheduling",
    "broker_class": "scheduling.cluster.broker.JobBroker",
    "orm": "default",
    "workers": env.int("QCLUSTER_WORKERS", default=2),
    "scheduler": False,  # crons are ticked by our broker
    "timeout": 60,  # of plain async_task() only, seconds
    "retry": 120,
    "max_attempts": 1,
    "ack_failures": True,
    "recycle": 1_000_000,
    "log_level": "WARNING",
    "label": "Plain django-q2 tasks",
}

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "line": {
            "class": "scheduling.redaction.RedactingFormatter",
            "format": "%(asctime)s %(levelname)-7s %(name)s %(message)s",
        },
    },
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": env.str("LOG_LEVEL", default="INFO")},
}

# Production: everything that `manage.py check --deploy` asks for, unless DEBUG is on.
if not DEBUG:
    SECURE_SSL_REDIRECT = env.bool("SECURE_SSL_REDIRECT", default=True)
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    SECURE_HSTS_SECONDS = env.int("SECURE_HSTS_SECONDS", default=31_536_000)
    SECURE_HSTS_INCLUDE_SUBDOMAINS = True
    SECURE_HSTS_PRELOAD = True
    SESSION_COOKIE_SECURE = True
    CSRF_COOKIE_SECURE = True

# The exchanges. A key is sent to its own exchange only; an empty one is not sent at all.
EXCHANGES = env.list("EXCHANGES", default=["opinion"])
OPINION_API_URL = env.str("OPINION_API_URL", default="https://openapi.opinion.trade/openapi")
OPINION_API_KEY = env.str("OPINION_API_KEY", default="")
OPINION_WS_URL = env.str("OPINION_WS_URL", default="wss://ws.opinion.trade")
POLYMARKET_GAMMA_URL = env.str("POLYMARKET_GAMMA_URL", default="https://gamma-api.polymarket.com")
POLYMARKET_DATA_URL = env.str("POLYMARKET_DATA_URL", default="https://data-api.polymarket.com")
POLYMARKET_CLOB_URL = env.str("POLYMARKET_CLOB_URL", default="https://clob.polymarket.com")
KALSHI_API_URL = env.str("KALSHI_API_URL", default="https://external-api.kalshi.com/trade-api/v2")
WHALE_TRADE_MIN_USD = env.str("WHALE_TRADE_MIN_USD", default="1000")
SYNC_MARKETS_EVERY = env.int("SYNC_MARKETS_EVERY", default=300)
PRICE_REQUESTS = env.int("PRICE_REQUESTS", default=60)
