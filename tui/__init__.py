"""The screen of `sando`: what operators keep open. `model` is pure, `panels` draw it as text, `client` asks, `app` shows."""
