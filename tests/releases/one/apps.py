from django.apps import AppConfig


class ShopConfig(AppConfig):
    name = "tests.releases.one"
    label = "shop"
