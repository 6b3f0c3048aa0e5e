"""How hypothesis runs here: the same for root, a normal user and a checkout that cannot be written."""

from hypothesis import settings

settings.register_profile("sando", database=None, deadline=None, print_blob=True)
settings.load_profile("sando")
