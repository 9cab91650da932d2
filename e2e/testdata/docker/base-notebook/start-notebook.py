#!/usr/bin/env -S python3 -u
"""A stand-in for docker-stacks' start-notebook.py."""
import os
import sys

command = ["jupyterhub-singleuser"] if "JUPYTERHUB_API_TOKEN" in os.environ else ["jupyter", "lab", "--ip=0.0.0.0"]
command += sys.argv[1:]
print("Executing:", *command[:1])
os.execvp(command[0], command)
