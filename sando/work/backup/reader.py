"""Bytes in their order: of a file, which can be jumped through, or of what unpacks one, which cannot."""

import os
from collections.abc import Callable
from typing import IO

PIECE = 2**20

Look = Callable[[], None]
"""Called between pieces; raises what ends the work."""


class Flow:
    """What is skipped is read all the same: so its checksum is compared."""

    jumps = False

    def __init__(self, stream: IO[bytes], look: Look) -> None:
        self._stream = stream
        self._look = look
        self._ahead = b""
        self._read = 0

    def read(self, size: int) -> bytes:
        self._look()
        data = self._ahead[:size] + self._stream.read(max(0, size - len(self._ahead)))
        self._ahead = self._ahead[size:]
        self._read += len(data)
        return data

    def take(self, size: int) -> bytes:
        """So many bytes; EOFError where there are fewer."""
        data = self.read(size)
        if len(data) < size:
            raise EOFError
        return data

    def skip(self, size: int) -> None:
        while size > 0:
            size -= len(self.take(min(size, PIECE)))

    def tell(self) -> int:
        return self._read

    def over(self) -> bool:
        """Whether nothing follows."""
        self._ahead = self._ahead or self._stream.read(1)
        return not self._ahead

    def rewind(self) -> None:
        self._stream.seek(0)
        self._ahead, self._read = b"", 0

    def tail(self, size: int) -> bytes:
        """The last bytes, from wherever it stands on."""
        last = b""
        while data := self.read(PIECE):
            last = (last + data)[-size:] if size else b""
        return last

    def size(self) -> int:
        """Bytes in all."""
        self.tail(0)
        return self._read


class File(Flow):
    """The same of a file on the disk: only what is asked for is read."""

    jumps = True

    def __init__(self, file: IO[bytes], look: Look) -> None:
        super().__init__(file, look)
        self._file = file
        self._size = os.fstat(file.fileno()).st_size

    def skip(self, size: int) -> None:
        if self._file.tell() + size > self._size:
            raise EOFError
        self._look()
        self._file.seek(size, os.SEEK_CUR)

    def over(self) -> bool:
        return self._file.tell() >= self._size

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def tail(self, size: int) -> bytes:
        self._file.seek(max(0, self._size - size))
        return self._file.read(size)

    def size(self) -> int:
        return self._size
