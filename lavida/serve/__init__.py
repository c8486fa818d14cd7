"""Serve a model over HTTP: an OpenAI-compatible API, a page, and limits on what strangers may send."""
