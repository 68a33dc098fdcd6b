#!/usr/bin/env bash
# Grades the submission. The judge writes results/results.json itself, as its last act.
# To try it out elsewhere: run_autograder FOLDER, with GRADER_PYTHON naming a Python that has the packages.
set -u
root="${1:-/autograder}"
python="${GRADER_PYTHON:-/opt/grader/bin/python}"
results="$root/results/results.json"
export HOME="$root/source/.home" PYTHONPATH="$root/source"

rm -f "$results"
cd "$root/source" || exit 3
"$python" -m grader.gradebook.gradescope_run --root "$root" --rubric "$root/source/rubric.json" OPTIONS
status=$?
if [ ! -s "$results" ]; then
    # Neither score nor tests: Gradescope reports a failed autograder, and counts no zero.
    printf '{"output": "The autograder ended with status %d before it could write results. Please run it again."}\n' \
        "$status" > "$results"
    [ "$status" -ne 0 ] || status=3
fi
exit "$status"
