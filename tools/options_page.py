"""Print docs/options.md from the engine's own table of options."""

import stoop

HEAD = """\
# Options

<!-- Made by `make docs` from the options table; edit the table. -->

Each option is a keyword of `stoop.enable`, an environment variable and an
interpreter flag. The keyword wins over the flag, the flag over the variable.
Switches take `1` or `0`. Under `-E` and `-I` Python, and so Stoop, ignores the
environment.

```sh
STOOP=1 {variable}={value} python app.py
stoop {flag}{value} app.py
python -c 'import stoop; stoop.enable({name}={value})'
```

`stoop.options()` tells which values are in force.
"""


def main():
    """Write the page to standard output."""
    table = stoop.options_table()
    example = next(option for option in table if type(option.default) is int)
    print(
        HEAD.format(
            variable=example.environment_variable,
            flag=example.x_flag,
            name=example.name,
            value=example.default,
        )
    )
    print("| option | default | unit | what it does |")
    print("|---|---|---|---|")
    for option in table:
        cells = (f"`{option.name}`", _default(option.default), option.unit, option.help)
        print("|", " | ".join(cell.replace("|", "\\|") for cell in cells), "|")
    print()
    print("| keyword | environment variable | interpreter flag |")
    print("|---|---|---|")
    for option in table:
        print(f"| `{option.name}` | `{option.environment_variable}` | `{option.x_flag}` |")


def _default(value):
    if isinstance(value, bool):
        return "on" if value else "off"
    return f"`{value}`" if value != "" else "none"


if __name__ == "__main__":
    main()
