#!/usr/bin/env bash
# Builds the image: a Python from 3.11 to 3.12, the packages for the CPU, and the proof that it grades.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
export DEBIAN_FRONTEND=noninteractive HOME="$PWD/.home"
mkdir -p "$HOME"

fits() { "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))' 2>/dev/null; }

apt-get update -qq
if fits python3; then
    python=python3
    apt-get install -y -qq --no-install-recommends python3-venv
else
    python=python3.11
    apt-get install -y -qq --no-install-recommends python3.11 python3.11-venv
fi

# Not below source/, which student code may not even enter.
"$python" -m venv /opt/grader
/opt/grader/bin/python -m pip install --quiet --no-cache-dir --requirement requirements.txt

# Another term's answers are made here, once; an image that cannot grade is not built.
trial="$(mktemp -d)"
mkdir "$trial/submission" "$trial/results"
cp reference/*.py reference/answers.toml "$trial/submission"
PYTHONPATH="$PWD" /opt/grader/bin/python -m grader.gradebook.gradescope_run --root "$trial" --rubric rubric.json
rm -r "$trial"
