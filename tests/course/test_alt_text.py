"""Words for pictures: the paragraph after each, as plain text, and of no other picture."""

import nbformat
import pytest

from kpp_lib.course.alt_text import LENGTH, alt_text, plain

PNG = nbformat.v4.new_output("display_data", {"image/png": "aGVsbG8="})


def text(source):
    return nbformat.v4.new_markdown_cell(source)


def picture():
    return nbformat.v4.new_code_cell("fig", outputs=[PNG])


@pytest.mark.parametrize("mark", ["Picture:", "*Picture:*", "**Picture:**"])
def test_a_picture_takes_the_words_of_the_paragraph_after_it(mark):
    cells = [text("Picture: told too early."), picture(), nbformat.v4.new_code_cell("x = 1")]
    cells += [text(f"Look.\n\n{mark} a curve\nthat falls.\n\nMore text.")]
    assert alt_text(cells, 1) == "a curve that falls."


@pytest.mark.parametrize("words", ["The picture: nothing.", "No word of it.", "See the Picture: there."])
def test_other_text_is_not_taken(words):
    assert alt_text([picture(), text(words)], 0) is None


def test_words_of_the_next_picture_are_not_taken():
    assert alt_text([picture(), picture(), text("Picture: two.")], 0) is None


def test_words_are_plain_and_end_with_a_sentence():
    assert plain(r"the *prior* $p(Z\mid\hat M)$ of [02](x.ipynb), `kl_z`") == "the prior p(Z given hat M) of 02, kl_z"
    long = plain("A short one. " + "And words without end. " * 40)
    assert long.endswith("end.") and len(long) <= LENGTH
