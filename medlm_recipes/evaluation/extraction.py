def extract(text: str, options: dict[str, str]) -> str | None:
    return None
