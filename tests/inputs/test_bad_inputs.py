"""Each bad input is refused with the message that is kept in data/messages.txt."""

import pytest
from bad_inputs import BAD_INPUTS, MESSAGES, as_text, messages

pytestmark = pytest.mark.usefixtures("numpy_target")


def test_there_are_many():
    assert len(BAD_INPUTS) >= 100


def test_messages_are_those_that_were_read():
    """After a change on purpose: python tests/support/bad_inputs.py, and read what is different."""
    assert as_text(messages()).splitlines() == MESSAGES.read_text("utf-8").splitlines()


def test_every_message_is_ours():
    kinds = {line.split(":")[0] for line in _first_lines()}
    assert kinds == {
        *("ValueError", "TypeError", "DimensionMismatchError", "FileNotFoundError"),
        *("ModelError", "NoDerivativeError", "UnsuitableMethodError"),
    }


def test_every_message_fits_a_screen():
    assert max(map(len, _first_lines())) < 600


def _first_lines():
    blocks = MESSAGES.read_text("utf-8").strip().split("\n\n")
    assert len(blocks) == len(BAD_INPUTS)
    for block in blocks:
        what, *said = block.splitlines()
        assert what.startswith("# ") and len(said) == 1
        yield said[0]
