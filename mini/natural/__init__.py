"""Teach lavida-mini to answer people's questions about photographs."""
