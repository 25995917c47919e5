import subprocess
import sys


def test_a_function_keeps_its_name_when_its_module_is_imported() -> None:
    script = (
        "import osm4eo_xr as oxr, types\n"
        "from osm4eo_xr.sieve import InputError\n"
        "import osm4eo_xr.sieve\n"
        "assert isinstance(oxr.sieve, types.FunctionType), oxr.sieve\n"
        "assert isinstance(oxr.sieve, types.FunctionType), oxr.sieve\n"
        "assert oxr.InputError is InputError\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
