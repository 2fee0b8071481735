"""Options: one table behind the keyword, the variable, the flag and the page."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import stoop

ROOT = Path(__file__).resolve().parent.parent.parent
TABLE = stoop.options_table()
NUMBERS = [option for option in TABLE if type(option.default) is int]
SWITCHES = [option for option in TABLE if type(option.default) is bool]


def ask(flags=(), program="", **variables):
    """The options in force in a new process, by name."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("STOOP")}
    program = f"import json, stoop\n{program}\nprint(json.dumps(stoop.options()))"
    done = subprocess.run(
        [sys.executable, *flags, "-c", program],
        capture_output=True,
        text=True,
        env={**environment, **variables},
        timeout=60,
        check=True,
    )
    assert done.stderr == ""
    return json.loads(done.stdout)


def test_the_table_is_complete():
    assert NUMBERS and SWITCHES
    names = [option.name for option in TABLE]
    assert len(set(names)) == len(names)
    for option in TABLE:
        assert option.name.isidentifier() and option.name == option.name.lower()
        assert option.help.strip()
    assert set(stoop.options()) == set(names)


def test_defaults_hold_when_nothing_is_said():
    assert ask() == {option.name: option.default for option in TABLE}


@pytest.mark.parametrize("option", NUMBERS, ids=lambda option: option.name)
def test_a_number_by_each_way(option):
    value = option.default + 1
    keyword = ask(program=f"stoop.enable({option.name}={value})")
    variable = ask(**{"STOOP": "1", option.environment_variable: str(value)})
    flag = ask(["-X", "stoop", *f"{option.x_flag}{value}".split()])
    assert keyword == variable == flag
    assert keyword[option.name] == value


@pytest.mark.parametrize("option", SWITCHES, ids=lambda option: option.name)
def test_a_switch_by_each_way(option):
    value = not option.default
    keyword = ask(program=f"stoop.enable({option.name}={value})")
    variable = ask(**{"STOOP": "1", option.environment_variable: str(int(value))})
    flag = ask(["-X", "stoop", *f"{option.x_flag}{int(value)}".split()])
    assert keyword == variable == flag
    assert keyword[option.name] is value


def test_the_flag_wins_over_the_variable_and_the_keyword_over_both():
    option = NUMBERS[0]
    name, low, middle, high = (
        option.name,
        option.default + 1,
        option.default + 2,
        option.default + 3,
    )
    flags = ["-X", "stoop", *f"{option.x_flag}{middle}".split()]
    assert ask(flags, **{option.environment_variable: str(low)})[name] == middle
    program = f"stoop.disable(); stoop.enable({name}={high})"
    assert ask(flags, program, **{option.environment_variable: str(low)})[name] == high


def test_variables_are_ignored_where_python_ignores_them():
    option = NUMBERS[0]
    found = ask(["-E", "-X", "stoop"], **{option.environment_variable: str(option.default + 1)})
    assert found[option.name] == option.default


@pytest.mark.parametrize("option", TABLE, ids=lambda option: option.name)
def test_an_unknown_option_names_the_nearest(option):
    wrong = option.name + "x"
    with pytest.raises(ValueError, match=rf"{wrong}.*\b{option.name}\b"):
        stoop.enable(**{wrong: option.default})


@pytest.mark.parametrize("option", NUMBERS, ids=lambda option: option.name)
def test_a_value_of_the_wrong_kind_is_refused_by_name(option):
    with pytest.raises((ValueError, TypeError), match=option.name):
        stoop.enable(**{option.name: "many"})


def test_the_page_is_up_to_date():
    made = subprocess.run(
        [sys.executable, ROOT / "tools" / "options_page.py"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert (ROOT / "docs" / "options.md").read_text() == made, "run `make docs`"
