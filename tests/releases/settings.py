"""The project's settings with one release of the shop: RELEASE=one or two."""

import os

from config.settings import *  # noqa: F403
from config.settings import INSTALLED_APPS as PROJECT

INSTALLED_APPS = [*PROJECT, f"tests.releases.{os.environ['RELEASE']}.apps.ShopConfig"]
