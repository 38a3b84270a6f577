"""Settings of a Django project with stock django-q2."""

import os
import warnings

import environ

from config.settings import INSTALLED_APPS as _APPS
from config.settings import MIDDLEWARE, SECRET_KEY, TEMPLATES  # noqa: F401 - which Django needs

warnings.filterwarnings("ignore", message="Retry and timeout are misconfigured")
# One Django is compared with the same: what is Django's own is as in our project.
INSTALLED_APPS = ["django_q", *(app for app in _APPS if app.startswith("django."))]
DATABASES = {"default": environ.Env().db("DATABASE_URL")}
if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    # As ours: without WAL and with deferred transactions its processes meet "database is locked".
    DATABASES["default"]["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 30,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
    }
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
Q_CLUSTER = {
    "name": "benchmarks",
    "orm": "default",
    "workers": int(os.environ.get("BENCH_WORKERS", "2")),
    "timeout": 60,
    "retry": 120,
    "save_limit": 0,
    "log_level": "WARNING",
}
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"console": {"class": "logging.StreamHandler"}},
    "root": {"handlers": ["console"], "level": "WARNING"},
}
