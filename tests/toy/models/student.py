"""Imported by distill alone."""


def shrink(text: str) -> str:
    """The first ten letters."""
    return text[:10]
