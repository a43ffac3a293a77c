"""Fresh ids that lie in order: a UUID of version 4 in form, its first 48 bits the time in milliseconds."""

import os
import threading

_POOL = 8 * 512


class Ids:
    """Gives ids that rise strictly within this process; the next 12 bits count within a millisecond."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tick = 0
        self._random = b""

    def next(self, micros: int) -> str:
        """Give an id for the instant *micros*; 62 bits of it are random."""
        with self._lock:
            tick = self._tick = max(self._tick + 1, micros // 1000 << 12)
            if not self._random:
                self._random = os.urandom(_POOL)
            noise, self._random = self._random[-8:], self._random[:-8]
        h = f"{tick:015x}"
        r = f"{int.from_bytes(noise, 'big') & 0x3FFFFFFFFFFFFFFF | 0x8000000000000000:016x}"
        return f"{h[:8]}-{h[8:12]}-4{h[12:]}-{r[:4]}-{r[4:]}"
