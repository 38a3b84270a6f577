"""Settings of a Django project with stock django-q2."""

import os
import warnings

import environ

warnings.filterwarnings("ignore", message="Retry and timeout are misconfigured")
SECRET_KEY = "benchmarks"
INSTALLED_APPS = ["django.contrib.auth", "django.contrib.contenttypes", "django_q"]
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
