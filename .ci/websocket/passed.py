"""What Autobahn's report says: `passed.py index.json`. Its own exit code says nothing."""

import json
import sys

PASS = {"OK", "NON-STRICT", "INFORMATIONAL"}
# A run that ended early would have no faults either.
CASES_MIN = 247

with open(sys.argv[1]) as file:
    cases = json.load(file)["flux"]
failed = [
    f"{number}: {case['behavior']}, closing {case['behaviorClose']}"
    for number, case in cases.items()
    if case["behavior"] not in PASS or case["behaviorClose"] not in PASS
]
strict = sum(case["behavior"] == "OK" for case in cases.values())
print(f"{len(cases)} cases, {strict} of them `OK`, {len(failed)} failed")
print("\n".join(failed))
sys.exit(bool(failed) or len(cases) < CASES_MIN)
