"""Text files of a named encoding; by default UTF-8, with a byte order mark or without."""

from mindpics.files.bounded import TEXT, read_bytes

UTF8 = "utf-8-sig"


def read_text(path, encoding=UTF8, file_type="a text", limit=TEXT):
    """Return the text of a file as it stands, line ends included.

    Parameters
    ----------
    path : path
    encoding : str
    file_type : str
        What the file is to be, for the message.
    limit : int
        Most bytes that it may have.

    Raises
    ------
    ValueError
        When its bytes are not of the encoding; it names the first. When it is no regular file of at most so many bytes.
    """
    try:
        return read_bytes(path, file_type, limit).decode(encoding)
    except UnicodeDecodeError as error:
        named = "UTF-8" if encoding == UTF8 else encoding
        raise ValueError(
            f"{path}, byte {error.start + 1}: found what is not {named}; wanted it, or --encoding cp1252, Windows' own"
        ) from None
