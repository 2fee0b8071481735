"""The decoder reads bytecode as `dis` does (see decode_check.py)."""

import re
import subprocess
import sys
import sysconfig
from pathlib import Path

CHECK = Path(__file__).with_name("decode_check.py")


def decode_check(*arguments):
    """Run the check and return how many code objects it compared."""
    run = subprocess.run([sys.executable, CHECK, *arguments], capture_output=True, text=True, timeout=300, check=False)
    assert run.returncode == 0, run.stdout[-4000:] + run.stderr[-4000:]
    return int(re.search(r"^(\d+) code objects, 0 differ$", run.stdout, re.M)[1])


def test_fresh_code():
    library = Path(sysconfig.get_path("stdlib"))
    files = ("argparse", "ast", "asyncio", "dataclasses", "inspect", "json", "test/test_patma.py", "typing")
    paths = [library / name if (library / name).exists() else library / f"{name}.py" for name in files]
    assert decode_check(*[path for path in paths if path.exists()]) > 1000


def test_specialised_and_instrumented_code():
    assert decode_check("--run") > 1000
