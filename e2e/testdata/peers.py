"""What the tests against the peers ask of Python: a JSON request a line, a JSON answer a line.

{"opens": PATH}                           -> {"why": "" or why no Jupyter opens that notebook}
{"merge": [BASE, MINE, THEIRS]} (paths)   -> {"text": nbdime's merge, "conflicts": how many were left}
"""
import io
import json
import logging
import sys
import warnings

import nbformat

warnings.simplefilter("ignore")
logging.disable(logging.CRITICAL)


def opens(path):
    try:
        with open(path, encoding="utf-8") as f:
            nbformat.validate(nbformat.read(f, as_version=4))
    except Exception as e:
        return {"why": (type(e).__name__ + ": " + str(e)).splitlines()[0][:80]}
    return {"why": ""}


def merge(paths):
    from nbdime.merging.notebooks import merge_notebooks
    from nbdime.nbmergeapp import _build_arg_parser

    base, mine, theirs = (nbformat.read(p, as_version=4) for p in paths)
    args = _build_arg_parser().parse_args(paths)
    merged, decisions = merge_notebooks(base, mine, theirs, args)
    out = io.StringIO()
    nbformat.write(merged, out)
    return {"text": out.getvalue(), "conflicts": sum(1 for d in decisions if d.conflict)}


for line in sys.stdin:
    request = json.loads(line)
    try:
        answer = opens(request["opens"]) if "opens" in request else merge(request["merge"])
    except Exception as e:
        answer = {"why": repr(e)[:200]}
    print(json.dumps(answer), flush=True)
