"""Numbers, dates and yes or no as people and models write them."""

from __future__ import annotations

from each_case import each_case

from aeron_magic.replies.spellings import read_bool, read_date, read_int, read_number, read_text

NUMBERS = {
    "₹1,20,000": 120_000,
    "₹ 1,20,000.50/-": 120_000.5,
    "Rs. 500/-": 500,
    "Rs.500": 500,
    "INR 12,34,567": 1_234_567,
    "1,234,567.89": 1_234_567.89,
    "500 rupees": 500,
    "५०० रुपये": 500,
    "१,२५,४५६": 125_456,
    "₹१.५ लाख": 150_000,
    "1.2 lakh": 120_000,
    "1.2 Lakhs": 120_000,
    "3 lac": 300_000,
    "0.07 crore": 700_000,
    "2 करो\N{DEVANAGARI LETTER DDDHA}": 20_000_000,
    "2 करो\N{DEVANAGARI LETTER DDA}\N{DEVANAGARI SIGN NUKTA}": 20_000_000,
    "5 हज़ार": 5_000,
    "5 हजार": 5_000,
    "2.5k": 2_500,
    "3 million": 3_000_000,
    "$1,200.50": 1_200.5,
    "-₹500": -500,
    "₹-500": -500,
    "\N{MINUS SIGN}500": -500,
    "\N{NON-BREAKING HYPHEN}500": -500,
    "+7": 7,
    "1.2e5": 120_000,
    "\N{FULLWIDTH DIGIT FIVE}7": 57,
    " 12 ": 12,
    "0.1": 0.1,
    "1.10": 1.1,
    "12345678901234567": 12_345_678_901_234_567,
    "1234567890123456789": 1_234_567_890_123_456_789,
    "-1e18": -(10**18),
    "1e300": 1e300,
}
UNREADABLE = """
about 500|500-600|500 or 600|5 kg|12%|five hundred|1.234,56|1,5|12,34|1,2,3|1,23,45|1 20 000|--5
5-|(500)|5²|1.2.3|₹|lakh|N/A|none|null||nan|inf|Infinity|1e|0x10|1_000|+91 98765 43210|12/11|5 cr
500 Cr|₹5 $|₹-+5|-₹-5|5k lakh|one lakh|²|½|Ⅻ|true|5 !|1.2 lakh 5|①
"""


def test_numbers() -> None:
    for text, number in NUMBERS.items():
        assert read_number(text) == number, text
        assert read_number(f"  {text.upper()}") == number, text


@each_case("text", "|".join(UNREADABLE.split("\n")).split("|"))
def test_what_is_not_certainly_a_number_is_left(text: str) -> None:
    assert read_number(text) is text


def test_a_long_text_is_not_read() -> None:
    assert read_number("1" * 100) == "1" * 100


def test_whole_numbers() -> None:
    """Also written as decimals; others are left for the validation to refuse."""
    assert [read_int(one) for one in (12.0, "12.0", "1.2 lakh", 1e3)] == [12, 12, 120_000, 1000]
    assert [read_int(one) for one in (12.5, True, "x")] == [12.5, True, "x"]
    assert read_int("12.5") == 12.5
    assert read_int(1234567890123456789.0) == 1234567890123456789.0  # digits are lost
    assert type(read_int(1234567890123456789.0)) is float


def test_yes_and_no() -> None:
    for word in ("yes", "Yes.", "TRUE", "हाँ", "हां", "जी हाँ।", "हाँ जी", "haan ji", "y"):
        assert read_bool(word) is True, word
    for word in ("no", "No!", "false", "नहीं", "नही", "जी नहीं", "nahi", "n"):
        assert read_bool(word) is False, word
    for word in ("maybe", "yes and no", "na", "n/a", "", "null", "हाँ नहीं", 1, None, "not true"):
        assert read_bool(word) is word, word


DATES = {
    "2026-11-21": "2026-11-21",
    "2026-11-21T00:00:00": "2026-11-21",
    "2026/11/21": "2026-11-21",
    "2026.1.5": "2026-01-05",
    "21/11/2026": "2026-11-21",
    "21-11-2026": "2026-11-21",
    "11/21/2026": "2026-11-21",
    "5.5.2026": "2026-05-05",
    "21 Nov 2026": "2026-11-21",
    "21st November, 2026": "2026-11-21",
    "Nov 21, 2026": "2026-11-21",
    "November 21 2026": "2026-11-21",
    "२१ नवंबर २०२६": "2026-11-21",
    "3 फ़रवरी 2026": "2026-02-03",
    "3 फरवरी 2026": "2026-02-03",
}


def test_dates() -> None:
    for text, day in DATES.items():
        assert read_date(text) == day, text


def test_what_is_not_certainly_a_date_is_left() -> None:
    """The fifth of June in India is the sixth of May in the USA."""
    for text in (
        "05/06/2026",
        "5-6-2026",
        "21/11/26",
        "tomorrow",
        "21 Nov",
        "2026-11-21T18:30:00Z",
        "2026",
        "",
        "Q4 2026",
        "21/11-2026",
        "21 Smarch 2026",
    ):
        assert read_date(text) is text, text


def test_texts() -> None:
    """An order's number is a text, too; blanks are none."""
    assert [read_text(one) for one in (5, "a ", " \n", True, 1.5)] == ["5", "a ", "", True, 1.5]
