"""sando takes a `git push` to production: build, gates, tier by tier, and back."""

__version__ = "1.0.0"
