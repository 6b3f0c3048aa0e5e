"""The actors: who owns which state, and which message changes it. They decide; `sando.work` does."""
