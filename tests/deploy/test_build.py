"""sam build with one shared target folder."""

import os
import re
import subprocess
import time
import zipfile

from conftest import ARCHITECTURE, BUILD, FUNCTIONS, MODULES, PROVIDERS, ROOT

# Lambda allows 50 MB, but every cold start downloads the zip. As shipped, they have 2.0 to 2.7 MB.
ZIP_BYTES_MAX = 3_000_000
# ci/deploy builds without link-time optimization, ci/arm64 as shipped.
IS_AS_SHIPPED = os.environ.get("CARGO_PROFILE_RELEASE_LTO") is None
# The field e_machine of an ELF file.
ELF_MACHINES = {"x86_64": 62, "arm64": 183}


def run_nice(*command: str) -> None:
    run = subprocess.run(["nice", "-n", "15", *command], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr


def test_sam_build_builds_every_function():
    started = time.monotonic()
    # sam compiles one function after the other, and link-time optimization uses one core. So compile all at once before.
    architecture = ["--arm64"] if ARCHITECTURE == "arm64" else []
    binaries = [part for name in [*MODULES, "notify", "recover"] for part in ("--bin", name)]
    run_nice("cargo", "lambda", "build", "--release", *architecture, *binaries)
    compiled = time.monotonic()
    run_nice("sam", "build", "--parameter-overrides", f"Architecture={ARCHITECTURE}",
             f"Providers={','.join(PROVIDERS)}")
    print(f"\ncompiled in {compiled - started:.0f} s, then sam build: {time.monotonic() - compiled:.0f} s")
    for function in FUNCTIONS:
        assert (BUILD / function / "bootstrap").exists(), function
    assert os.environ["CARGO_TARGET_DIR"] == str(ROOT / "target")
    assert not list(ROOT.glob(".aws-sam/**/target"))


def test_each_function_fits_lambda_and_starts_on_amazon_linux_2023(tmp_path):
    print()
    for function in FUNCTIONS:
        binary = BUILD / function / "bootstrap"
        with zipfile.ZipFile(tmp_path / f"{function}.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            archive.write(binary, "bootstrap")
        zip_bytes = (tmp_path / f"{function}.zip").stat().st_size
        print(f"{function}: {zip_bytes / 1e6:.2f} MB zipped, {binary.stat().st_size / 1e6:.2f} MB")
        assert zip_bytes < ZIP_BYTES_MAX or not IS_AS_SHIPPED, function

        content = binary.read_bytes()
        assert int.from_bytes(content[18:20], "little") == ELF_MACHINES[ARCHITECTURE], function
        glibc = {tuple(map(int, found.split(b"."))) for found in re.findall(rb"GLIBC_(2\.\d+)", content)}
        assert glibc and max(glibc) <= (2, 34), f"{function} needs glibc {max(glibc)}, Amazon Linux 2023 has 2.34"
        assert b"SQLite format 3" not in content, f"{function} has the local stack's database in it"
