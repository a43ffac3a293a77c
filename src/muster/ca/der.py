"""The few lines of DER (X.690) for what the libraries have no function for: very long lists, and names."""

from collections.abc import Iterator

SEQUENCE, SET, OID, BIT_STRING, ENUMERATED = 0x30, 0x31, 0x06, 0x03, 0x0A


def tlv(tag: int, *parts: bytes) -> bytes:
    """Give tag, length and the parts as content."""
    content = parts[0] if len(parts) == 1 else b"".join(parts)
    size = len(content)
    if size < 0x80:
        return bytes((tag, size)) + content
    octets = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(octets))) + octets + content


def elements(data: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """Give tag, content and whole encoding of each element in a row; ValueError if the data ends early."""
    place = 0
    while place < len(data):
        tag, start, size = _head(data, place)
        end = start + size
        if end > len(data):
            raise ValueError("truncated DER")
        yield tag, data[start:end], data[place:end]
        place = end


def _head(data: bytes, place: int) -> tuple[int, int, int]:
    """Give tag, where the content starts, and its size."""
    head = data[place : place + 2]
    if len(head) < 2 or head[1] == 0x80:
        raise ValueError("truncated DER")
    if head[1] < 0x80:
        return head[0], place + 2, head[1]
    start = place + 2 + (head[1] & 0x7F)
    return head[0], start, int.from_bytes(data[place + 2 : start], "big")


def content_of(data: bytes, tag: int) -> bytes:
    """Give the content of the first element, which has this tag; else ValueError."""
    found, content, _ = next(elements(data), (0, b"", b""))
    if found != tag:
        raise ValueError("unexpected DER")
    return content
