"""make try-hub: a real JupyterHub, the service and a course on this machine, without Docker, until Ctrl-C.

Everything lies in one folder (.cache/try-hub) and is gone afterwards. PORT says where the hub is (default 8000).
"""
import ctypes
import fcntl
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "../.."))
CACHE = os.path.join(ROOT, ".cache")
DIR = os.environ.get("TRY_HUB_DIR", os.path.join(CACHE, "try-hub"))
VENV = os.environ.get("HUB_VENV", os.path.join(CACHE, "venv-hub"))
NODE = os.environ.get("HUB_NODE", os.path.join(CACHE, "node-hub"))
PROXY = os.path.join(NODE, "node_modules/.bin/configurable-http-proxy")
STUDENT = 1000  # whose the servers are where this runs as root: the agent refuses to act as root


class Stop(Exception):
    pass


def stop(*_):
    raise Stop


def main():
    for needed in (os.path.join(ROOT, "bin/satchel"), os.path.join(ROOT, "bin/satchel-agent"), os.path.join(VENV, "bin/jupyterhub"), PROXY):
        if not os.path.exists(needed):
            sys.exit("There is no %s. \"make try-hub\" makes it." % os.path.relpath(needed))
    os.makedirs(os.path.dirname(DIR), exist_ok=True)
    lock = open(DIR + ".lock", "w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        sys.exit("Another try-hub runs here: end it first (Ctrl-C in its terminal).")
    for s in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(s, stop)
    running = []
    try:
        show(running)
    except Stop:
        pass
    finally:
        for s in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(s, signal.SIG_IGN)  # the end takes some seconds: once is enough
        end(running)
    print("\nThe hub and the service have stopped, and nothing of them is left.")


def show(running):
    shutil.rmtree(DIR, ignore_errors=True)
    os.makedirs(os.path.join(DIR, "hub"))
    print("Starting: a course behind SSH, the service, the hub. This takes half a minute.", flush=True)
    service = start(running, "service", [os.path.join(ROOT, "bin/satchel"), "try", "--keep", "--dir", os.path.join(DIR, "course")])
    wait(service, "service", lambda: "goes on until Ctrl-C" in log("service"))
    password, port = secrets.token_urlsafe(9), pick(int(os.environ.get("PORT", "8000")))
    hub = start_hub(running, password, port)
    wait(hub, "hub", lambda: answers("http://127.0.0.1:%d/hub/health" % port))
    tell(port, password)
    while hub.poll() is None and service.poll() is None:
        time.sleep(0.5)
    sys.exit("It ended by itself:\n" + (log("hub") if service.poll() is None else log("service"))[-3000:])


def start_hub(running, password, port):
    """The hub, as an ordinary user, with a copy of the hook secret that this user can read."""
    with open(os.path.join(DIR, "course/service/satchel.yaml")) as f:
        listen = re.search(r'hub: "([^"]+)"', f.read()).group(1)
    here = os.path.join(DIR, "hub")
    secret = os.path.join(here, "hook-secret")
    shutil.copyfile(os.path.join(DIR, "course/service/secrets/hook"), secret)
    os.chmod(secret, 0o600)
    who = {}
    if os.getuid() == 0:
        who = {"user": STUDENT, "group": STUDENT, "extra_groups": []}
        for path in (here, secret):
            os.chown(path, STUDENT, STUDENT)
    env = {
        "PATH": os.path.join(VENV, "bin") + os.pathsep + os.environ.get("PATH", os.defpath), "HOME": here, "LANG": "C.UTF-8",
        "PYTHONDONTWRITEBYTECODE": "1", "JUPYTER_PATH": os.path.join(CACHE, "scala3/share/jupyter"),
        "SATCHEL_HUB_URL": "http://" + listen, "SATCHEL_HOOK_SECRET_FILE": secret,
        "TRY_HUB_DIR": here, "TRY_HUB_ROOT": ROOT, "TRY_HUB_PORT": str(port), "TRY_HUB_PASSWORD": password, "TRY_HUB_PROXY": PROXY,
        "TRY_HUB_INNER_PORTS": "%d,%d" % (pick(0), pick(0)),
    }
    config = os.path.join(ROOT, "deploy/try-hub/jupyterhub_config.py")
    return start(running, "hub", [os.path.join(VENV, "bin/python"), "-m", "jupyterhub", "-f", config], cwd=here, env=env, **who)


def start(running, name, args, **how):
    """Starts a program in a session of its own, so that Ctrl-C reaches only us; it ends when we die all the same."""
    def with_us():
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG

    with open(os.path.join(DIR, name + ".log"), "w") as out:
        p = subprocess.Popen(args, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True, preexec_fn=with_us, **how)
    running.append(p)
    return p


def wait(process, name, done):
    until = time.monotonic() + 120
    while not done():
        if process.poll() is not None:
            sys.exit("The %s did not start:\n%s" % (name, log(name)[-3000:]))
        if time.monotonic() > until:
            sys.exit("The %s is not there after two minutes:\n%s" % (name, log(name)[-3000:]))
        time.sleep(0.1)


def log(name):
    with open(os.path.join(DIR, name + ".log"), errors="replace") as f:
        return f.read()


def answers(url):
    try:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        return opener.open(url, timeout=2).status == 200
    except OSError:
        return False


def pick(port):
    """This port, or a free one."""
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind(("127.0.0.1", port))
        except OSError:
            s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def tell(port, password):
    course, agent = os.path.join(DIR, "course"), os.path.join(ROOT, "bin/satchel")
    print("""
A JupyterHub is at   http://127.0.0.1:%d
Log in as            ana or ben, password %s

After the login the course is in the folder scala101, and "What is new.md" beside it tells of it. (Its notebooks ask
for a Scala kernel, which is not here: choose "No Kernel", or Python.) Then be the
instructor, and see the push arrive in the running server:

  cd '%s' && echo Hello >> notebooks/hello.md && git add -A && git commit -qm Hello && git push -q

  the service's state:   %s --config '%s' status
  the logs:              %s/hub.log, %s

Only this machine reaches the hub. Ctrl-C ends all of it and removes %s.
""" % (port, password, course + "/instructor", agent, course + "/service/satchel.yaml", DIR, course + "/service.log", DIR), flush=True)


def end(running):
    """The hub first: it ends its proxy and its servers, and these their agents."""
    for p in reversed(running):
        if p.poll() is None:
            p.send_signal(signal.SIGTERM)
        try:
            p.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(p.pid, signal.SIGKILL)
            p.wait()
    shutil.rmtree(DIR, ignore_errors=True)


if __name__ == "__main__":
    main()
