"""The first edition's four models train as they did: weights and history of seven steps.

The hashes were recorded with the last commit at which the step belonged to ``Trainer``. Bits depend
on which kernels OpenBLAS and NumPy choose, so each set of hashes belongs to a fingerprint of the
machine's arithmetic. On others the last row of history.csv must be the same to 3 %: by so much two
kernels of OpenBLAS differ after seven steps of a DCGAN.
"""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from minigan.checkpoint import Run, load_tensors

pytestmark = pytest.mark.on_the_host("starts processes")
MODELS = ("mlp", "dcgan", "dcgan-half", "maxout")
ENVIRONMENT = os.environ | {"OPENBLAS_NUM_THREADS": "1"}

#: By fingerprint, for each model: of generator, discriminator and history.csv.
RECORDED = {
    "6a5ef80601a13eeb": {  # AVX-512
        "mlp": "addf306eba313d2c",
        "dcgan": "9d07a16c8ae52920",
        "dcgan-half": "394cab454a99b68e",
        "maxout": "6fd113916db9bed9",
    },
    "4340d4cdd32ad8e6": {  # OPENBLAS_CORETYPE=Haswell
        "mlp": "15a910378746a544",
        "dcgan": "4b6db338ba370662",
        "dcgan-half": "3c3e2d736a292842",
        "maxout": "4f1bf172cf7ff8a9",
    },
}
#: Of each model: d_loss, d_real, d_fake, g_loss and the norms of D's gradient and of G's.
ROWS = {
    "mlp": (1.067, 0.8179, 0.5779, 0.8115, 1.192, 0.81),
    "dcgan": (0.6167, 0.901, 0.3483, 8.418, 27.56, 49.39),
    "dcgan-half": (0.6281, 0.7897, 0.3077, 3.03, 19.05, 37.9),
    "maxout": (1.386, 0.5001, 0.5, 0.6931, 0.01066, 3.6e-05),
}

FINGERPRINT = """
import hashlib
import numpy as np
rng = np.random.default_rng(0)
sha = hashlib.sha256()
for m, k, n in ((128, 784, 512), (128, 100, 6272), (6272, 1024, 64), (100, 1200, 1200)):
    a, b = (rng.standard_normal(s, dtype="float32") for s in ((m, k), (k, n)))
    for product in (a @ b, np.ascontiguousarray(a.T).T @ b, a @ np.ascontiguousarray(b.T).T):
        sha.update(product.tobytes())
x = rng.standard_normal(10_001, dtype="float32")
for f in (np.exp, np.tanh, np.log1p, np.sqrt, np.square, np.sum, np.mean):
    sha.update(f(abs(x)).tobytes())
print(sha.hexdigest()[:16])
"""


def python(*arguments: str) -> str:
    command = [sys.executable, *arguments]
    ended = subprocess.run(command, env=ENVIRONMENT, check=True, capture_output=True, text=True)
    return ended.stdout.strip()


def trained(model: str, out: Path) -> Run:
    data = ("--data", "mnist-mini", "--steps", "7", "--seed", "3")
    python("-m", "minigan", "train", model, *data, "--out", str(out))
    return Run.open(out)


def bits(run: Run) -> str:
    sha = hashlib.sha256((run.path / "history.csv").read_bytes())
    for player in ("generator", "discriminator"):
        weights, _ = load_tensors(run.path / f"{player}.safetensors")
        for name in sorted(weights):
            sha.update(f"{player}.{name}".encode())
            sha.update((weights[name] + 0.0).tobytes())  # −0 and 0 are one number
    return sha.hexdigest()[:16]


@pytest.fixture(scope="module")
def recorded() -> dict[str, str] | None:
    """The hashes of this machine's arithmetic, if its arithmetic is one that was recorded."""
    return RECORDED.get(python("-c", FINGERPRINT))


@pytest.mark.parametrize("model", MODELS)
def test_seven_steps(model: str, tmp_path: Path, recorded: dict[str, str] | None) -> None:
    run = trained(model, tmp_path / "run")
    (row,) = run.rows("history.csv")
    assert list(row.values())[2:] == pytest.approx(ROWS[model], rel=0.03)
    assert recorded is None or bits(run) == recorded[model]
