"""Runs cells in a kernel of a student's server, as a browser does, and prints what they print.

run_cells.py WEBSOCKET ORIGIN < {"cookie": ..., "cells": [...]}
"""
import json
import sys
import uuid

import websocket

asked = json.load(sys.stdin)
ws = websocket.create_connection(sys.argv[1], cookie=asked["cookie"], origin=sys.argv[2], timeout=90)
session = uuid.uuid4().hex
for code in asked["cells"]:
    me = uuid.uuid4().hex
    ws.send(json.dumps({
        "header": {"msg_id": me, "username": "", "session": session, "msg_type": "execute_request", "version": "5.3", "date": ""},
        "parent_header": {}, "metadata": {}, "channel": "shell",
        "content": {"code": code, "silent": False, "store_history": True, "user_expressions": {}, "allow_stdin": False, "stop_on_error": True},
    }))
    while True:
        said = json.loads(ws.recv())
        kind, content = said["header"]["msg_type"], said["content"]
        if said["parent_header"].get("msg_id") != me:
            continue
        if kind == "stream":
            print(content["text"], end="")
        elif kind in ("execute_result", "display_data"):
            print(content["data"].get("text/plain", ""))
        elif kind == "error":
            print("\n".join(content["traceback"]))
        elif kind == "status" and content["execution_state"] == "idle":  # not execute_reply: output may come after it
            break
ws.close()
