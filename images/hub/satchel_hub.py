"""Satchel's side in a JupyterHub: a ticket for each server that starts, and a line on the spawn page.

In jupyterhub_config.py, anywhere:

    import satchel_hub
    satchel_hub.install(c)

with SATCHEL_HUB_URL (the service's listen.hub, such as http://satchel:8485) and SATCHEL_HOOK_SECRET_FILE
(a file with the text of the service's secrets/hook) in the hub's environment, or as arguments:

    satchel_hub.install(c, url="http://satchel:8485", secret_file="/etc/satchel/hook")

This is one file, of the standard library and of what a hub has anyway: install it by pip, lay it into a folder of
the hub's PYTHONPATH, or paste it into jupyterhub_config.py.

What it promises the hub:

- A spawn waits for it at most two seconds, names looked up, groups and all, and never fails because of it.
  Nothing of it blocks the hub's loop.
- A pre_spawn_hook of the site's own, set before or after, on any spawner class, runs first and as ever: what it
  returns and what it raises is the site's.
- After a failure nobody is asked for half a minute; then one server's start tries.
- The hook secret and the ticket are in no log, no error and no repr.

What a student's server gets: SATCHEL_URL, SATCHEL_TICKET, SATCHEL_KEYS, and SATCHEL_TICKET in
JUPYTER_ENV_VARS_TO_UNSET, by which docker-stacks images keep it out of kernels. With the service away it gets no
ticket, and the student starts with what is there; URL and keys it gets then only where the service said before that
it gives a ticket for the server's own hub token, so that the agent asks for one as soon as the service is back.
"""

import asyncio
import concurrent.futures
import inspect
import json
import os
import re
import socket
import time
from urllib.parse import urlsplit

import jupyterhub
from jupyterhub.auth import Authenticator
from jupyterhub.spawner import Spawner
from jupyterhub.utils import maybe_future
from tornado.httpclient import HTTPRequest
from tornado.netutil import Resolver
from tornado.simple_httpclient import SimpleAsyncHTTPClient
from traitlets.log import get_logger

URL, TICKET, KEYS = "SATCHEL_URL", "SATCHEL_TICKET", "SATCHEL_KEYS"
UNSET = "JUPYTER_ENV_VARS_TO_UNSET"

MOST_SECONDS = 2.0  # of a server's start
PAUSE = 30.0  # seconds without asking, after a failure
MAX_ANSWER = 1 << 20  # bytes, as are all that follow
MAX_TICKET = 2 << 10
MAX_KEYS = 16 << 10
MAX_URL = 2 << 10
MAX_SECRET = 4 << 10
MAX_NAME = 255
MAX_GROUPS = 2000  # as many as the service reads
NAMED = 3  # courses that a sentence names

AWAY = "Course material could not be asked for; you have what you had."

_now = time.monotonic


def install(c=None, *, url=None, secret=None, secret_file=None, groups=None, timeout=MOST_SECONDS):
    """Ask Satchel for a ticket at each server's start.

    c            the configuration; nothing in it is read or changed, so hooks may be set before or after
    url          where the service listens for the hub; default: SATCHEL_HUB_URL
    secret       the hook secret itself, or
    secret_file  the file that holds it, read again when it changes; default: SATCHEL_HOOK_SECRET_FILE
    groups       called with (spawner, auth_state), gives the names of the student's groups, or an awaitable of
                 them; it must not block. Default: the groups that the hub knows
    timeout      seconds that a start waits at most; never more than 2

    A second call replaces what the first said. What is missing is logged, and then nobody is asked: a hub starts,
    and its servers start, whatever is wrong here.
    """
    first = getattr(Spawner, "_satchel", None) is None
    Spawner._satchel = _Hook(
        url or os.environ.get("SATCHEL_HUB_URL", ""), secret,
        secret_file or (None if secret else os.environ.get("SATCHEL_HOOK_SECRET_FILE")), groups, timeout)
    if first:
        _after_init(Spawner, _attend)
        _after_init(Authenticator, _check_allow)
    Spawner._satchel.check_settings(get_logger())


def _after_init(cls, then):
    """Calls then(instance) when an instance of cls, or of any class below it, was made. Instances are wrapped and
    not classes, for a spawner class may override any method, and may be imported later than this."""
    own = cls.__dict__.get("__init__")

    def __init__(self, *args, **kwargs):
        if own is None:
            super(cls, self).__init__(*args, **kwargs)
        else:
            own(self, *args, **kwargs)
        try:
            then(self)
        except Exception as e:
            get_logger().error("Satchel: %s is not attended to: %s", cls.__name__, type(e).__name__)

    cls.__init__ = __init__


def _attend(spawner):
    start = _Start(spawner)
    spawner.run_pre_spawn_hook, spawner.progress = start.before, start.progress


class _Start:
    """The starts of one server: the site's hook, then ours; the spawner's own progress, and our line."""

    def __init__(self, spawner):
        self.spawner = spawner
        self.their_hook, self.their_progress = spawner.run_pre_spawn_hook, spawner.progress
        self.line = ""
        self.told = None  # an Event, made inside the loop: older Pythons bind it there

    def known(self):
        if self.told is None:
            self.told = asyncio.Event()
        return self.told

    async def before(self):
        self.line = ""
        self.known().clear()
        try:
            Spawner._satchel.forget(self.spawner)
            result = await maybe_future(self.their_hook())
            self.line = await Spawner._satchel.admit(self.spawner)
            return result
        finally:
            self.known().set()

    async def progress(self):
        """Whatever the spawner's own gives, when it gives it, and our line as soon as it is known."""
        theirs = self.their_progress().__aiter__()
        known, item = asyncio.ensure_future(self.known().wait()), None
        waiting = {known}
        try:
            while waiting:
                if item is None and theirs is not None:
                    item = asyncio.ensure_future(theirs.__anext__())
                    waiting.add(item)
                await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                if item is not None and item.done():
                    waiting.remove(item)
                    ended, item = item, None
                    try:
                        event = ended.result()
                    except StopAsyncIteration:
                        theirs = None
                    else:
                        yield event
                # Last, for the page shows the last line, and the others where one looks for them.
                if known in waiting and known.done():
                    waiting.remove(known)
                    if self.line:
                        yield {"message": self.line}
        finally:
            known.cancel()
            await _close(item, theirs)


async def _close(item, theirs):
    """Ends a generator of progress, of which item may be on its way."""
    if item is not None:
        item.cancel()
        await asyncio.wait({item})
        if not item.cancelled():
            item.exception()  # seen
    if theirs is not None and hasattr(theirs, "aclose"):
        await theirs.aclose()


def _forget(spawner):
    """What an earlier start got from us goes, and what the site had there is back. Never is a ticket left."""
    had = getattr(spawner, "_satchel_had", {})
    env = {k: v for k, v in spawner.environment.items() if k != TICKET and k not in had}
    env.update((k, v) for k, v in had.items() if v is not None)
    if env != spawner.environment:
        spawner.environment = env
    spawner._satchel_had = {}


def _give(spawner, admission, ticket=True):
    env = spawner.environment
    given = {URL: admission.url, KEYS: admission.keys}
    if ticket:
        given[UNSET] = _with_ticket(env.get(UNSET))
    spawner._satchel_had = {k: env.get(k) for k in given}
    if ticket:
        given[TICKET] = admission.ticket
    spawner.environment = dict(env, **given)  # a new one: the old one may be another spawner's too


def _with_ticket(unset):
    """The list of variables to unset, with ours. A value may be a function of the spawner."""
    if callable(unset):
        return lambda spawner: _with_ticket(unset(spawner))
    if not unset:
        return TICKET
    if not isinstance(unset, str) or TICKET in unset.split(","):
        return unset
    return unset + "," + TICKET


class _Failed(Exception):
    """Nothing came of asking. Its text is logged, so it holds nothing that came from outside."""


class _Away(_Failed):
    """The service does not answer as it should: it is left in peace for a while."""


class _Admission:
    """The checked answer of the service."""

    def __init__(self, body):
        try:
            got = json.loads(body)
        except Exception:
            raise _Away("its answer is not JSON: is this the service's listen.hub?") from None
        if not isinstance(got, dict):
            raise _Away("its answer is not an object: is this the service's listen.hub?")
        if got.get("format", 1) != 1:
            raise _Failed("its answer has a format that this satchel_hub.py does not know: install the service's one")
        self.url = _text(got, "url", MAX_URL, r"https?://[!-z|~]+")
        self.ticket = _text(got, "ticket", MAX_TICKET, r"[!-z|~]+")
        self.keys = _text(got, "keys", MAX_KEYS, r"[ -z|~]+")
        self.exchange = got.get("exchange") is True
        self.courses = _courses(got.get("courses"))

    def line(self):
        """What the spawn page says; nothing where nothing is ready, or the service is one that does not tell."""
        if not self.courses:
            return ""
        if len(self.courses) == 1:
            return "Course material: version %d is ready." % self.courses[0][1]
        named = ["%s version %d" % c for c in self.courses[:NAMED]]
        more = len(self.courses) - len(named)
        if more:
            named.append("%d more" % more)
        return "Course material: %s and %s are ready." % (", ".join(named[:-1]), named[-1])


def _text(got, name, limit, form):
    """Visible characters only; no braces, for some spawners take those for a template."""
    value = got.get(name)
    if not isinstance(value, str) or len(value) > limit or not re.fullmatch(form, value):
        raise _Away("its answer has no %s that could be one: is this the service's listen.hub?" % name)
    return value


def _courses(got):
    out = []
    for entry in got if isinstance(got, list) else ():
        name, version = (entry.get("course"), entry.get("version")) if isinstance(entry, dict) else (None, None)
        if isinstance(name, str) and re.fullmatch(r"[A-Za-z0-9][\w.-]{0,127}", name, re.ASCII) \
                and type(version) is int and 0 < version < 1 << 53:
            out.append((name, version))
    return out


class _Names(Resolver):
    """Looks names up in threads of its own: a name server that hangs takes no thread of the hub's."""

    threads = None

    def initialize(self):
        if _Names.threads is None:
            _Names.threads = concurrent.futures.ThreadPoolExecutor(2, thread_name_prefix="satchel-names")

    async def resolve(self, host, port, family=socket.AF_UNSPEC):
        loop = asyncio.get_running_loop()
        found = await loop.run_in_executor(
            _Names.threads, lambda: socket.getaddrinfo(host, port, family, socket.SOCK_STREAM))
        return [(entry[0], entry[4]) for entry in found]


class _Secret:
    """The hook secret: given, or in a file that may be replaced while the hub runs."""

    def __init__(self, value, path):
        self._value, self.path, self._seen = (value or "").strip(), path, None

    def __repr__(self):
        return "[hidden]"

    def text(self):
        if self.path:
            self._read()
        if not re.fullmatch(r"[!-~]{1,%d}" % MAX_SECRET, self._value):
            raise _Failed("%s hold%s no hook secret: it is the text of the service's secrets/hook"
                          % (self.where(), "s" if self.path else ""))
        return self._value

    def where(self):
        return self.path or "secret= and secret_file= of satchel_hub.install, and SATCHEL_HOOK_SECRET_FILE,"

    def _read(self):
        try:
            st = os.stat(self.path)
            seen = (st.st_mtime_ns, st.st_size, st.st_ino)
            if seen != self._seen:
                with open(self.path, encoding="ascii") as f:
                    self._value = f.read(MAX_SECRET + 2).strip()
                self._seen = seen
        except (OSError, ValueError) as e:
            why = os.strerror(e.errno) if isinstance(e, OSError) and e.errno else type(e).__name__
            raise _Failed("the hook secret in %s cannot be read by the hub: %s" % (self.path, why)) from None


class _Hook:
    """What install was told, and how the service stands."""

    def __init__(self, url, secret, secret_file, groups, timeout):
        self.url = url.rstrip("/")
        self.secret = _Secret(secret, secret_file)
        self.groups = groups
        self.timeout = min(float(timeout), MOST_SECONDS)
        self.quiet_until = 0.0  # nobody is asked before
        self.failing = False  # the last answer was none
        self.trying = False  # somebody finds out whether it is back
        self.last = None  # a good answer
        self.warned = set()

    def __repr__(self):
        return "<satchel_hub>"

    def forget(self, spawner):
        try:
            _forget(spawner)
        except Exception as e:  # an environment that is none
            spawner.log.error("Satchel: %s at the start of a server.", type(e).__name__)

    async def admit(self, spawner):
        """Puts a ticket into the server's environment, and gives the line for the spawn page. It raises nothing
        (but passes on that the hub cancelled the start)."""
        try:
            admission = await self.asked(spawner)
            if admission is None:
                if self.last is not None and self.last.exchange:
                    _give(spawner, self.last, ticket=False)
                return AWAY
            _give(spawner, admission)
            self.last = admission
            self.check_resumed(spawner, admission)
            return admission.line()
        except Exception as e:  # a fault of this file, or an environment that is none
            spawner.log.error("Satchel: %s at the start of a server. It starts without.", type(e).__name__)
            return AWAY

    async def asked(self, spawner):
        """The service's answer, or None; then it is logged why."""
        log, user = spawner.log, spawner.user.name
        if not self.may_ask():
            log.debug("Satchel: nothing asked for %s: the service did not answer a moment ago", user)
            return None
        try:
            admission = await self.in_time(_Asking(self, spawner))
            self.stands(True)
            return admission
        except _Away as e:
            self.stands(False)
            log.warning("Satchel: no ticket for %s: %s does not answer as it should: %s. The server starts without; "
                        "nobody asks for %d seconds.", user, self.url, e, PAUSE)
        except _Failed as e:
            log.error("Satchel: no ticket for %s: %s. The server starts without.", user, e)
        finally:
            self.trying = False
        return None

    def may_ask(self):
        """After a failure: not for a while, then one asks, and the others wait for what it finds."""
        if self.failing and (self.trying or _now() < self.quiet_until):
            return False
        self.trying = self.failing
        return True

    def stands(self, well):
        self.failing = not well
        self.quiet_until = 0.0 if well else _now() + PAUSE

    async def in_time(self, asking):
        """The answer, or why there is none, within the time. What does not end when it is told to is left behind."""
        task = asyncio.ensure_future(asking.ask())
        try:
            await asyncio.wait({task}, timeout=self.timeout)
        finally:
            if not task.done():
                task.cancel()
                task.add_done_callback(lambda t: t.cancelled() or t.exception())
        if task.done() and not task.cancelled():
            return task.result()
        raise asking.late(self.timeout)

    def check_settings(self, log):
        """Says once, at the hub's start, what is wrong with what install was told."""
        try:
            self.check_url()
            self.secret.text()
        except _Failed as e:
            log.error("Satchel: %s. Nobody is asked until then.", e)
        if tuple(jupyterhub.version_info[:3]) < (5, 5, 1):
            log.warning("Satchel: JupyterHub %s has known security holes. To close them: pip install "
                        "'jupyterhub>=5.5.1'", jupyterhub.__version__)

    def check_url(self):
        try:
            parts = urlsplit(self.url)
            parts.port  # a number?
            good = parts.scheme in ("http", "https") and parts.hostname and parts.username is None \
                and not parts.query and not parts.fragment and re.fullmatch(r"[!-~]{1,%d}" % MAX_URL, self.url)
        except ValueError:
            good = False
        if not good:
            raise _Failed("url= of satchel_hub.install, or SATCHEL_HUB_URL, must be the address of the service's "
                          "listen.hub, such as http://127.0.0.1:8485")

    def check_resumed(self, spawner, admission):
        if getattr(spawner, "will_resume", False) and not admission.exchange:
            self.once(spawner.log, "a container that is resumed keeps its old environment, so from the second login "
                      "on its ticket is stale (this service exchanges none). In jupyterhub_config.py: "
                      "c.DockerSpawner.remove = True (where the home is on a volume: what is only in the container "
                      "goes with it), or set hub: {api_url: …} in the service's satchel.yaml")

    def once(self, log, text):
        if text not in self.warned:
            self.warned.add(text)
            log.warning("Satchel: %s", text)


class _Asking:
    """One question to the service."""

    def __init__(self, hook, spawner):
        self.hook, self.spawner = hook, spawner
        self.sent = False

    def late(self, seconds):
        """Why there is no answer in time: the service, or what the site has between a student and their groups."""
        if self.sent:
            return _Away("no answer within %g seconds" % seconds)
        return _Failed("the student's groups were not known within %g seconds (groups= of satchel_hub.install, "
                       "or auth_state)" % seconds)

    async def ask(self):
        began = _now()
        self.hook.check_url()
        secret = self.hook.secret.text()
        login = {
            "format": 1, "user": self.spawner.user.name, "server": self.spawner.name or "",
            "groups": await self.student_groups(), "image": _image(self.spawner),
        }
        self.sent = True
        return self.read(await self.post(json.dumps(login), secret, self.hook.timeout - (_now() - began)))

    async def student_groups(self):
        if self.hook.groups is None:
            return [g.name for g in self.spawner.user.groups]
        try:
            found = self.hook.groups(self.spawner, await self.spawner.user.get_auth_state())
            if inspect.isawaitable(found):
                found = await found
            found = [] if found is None else list(dict.fromkeys(found))
        except Exception as e:
            raise _Failed("groups= of satchel_hub.install raised %s" % type(e).__name__) from None
        if any(not isinstance(g, str) for g in found) or len(found) > MAX_GROUPS:
            raise _Failed("groups= of satchel_hub.install must give a list of at most %d names" % MAX_GROUPS)
        return found

    async def post(self, body, secret, seconds):
        # A client of its own: the hub's is shared, may be curl's with a proxy, and reads bodies of any size.
        client = SimpleAsyncHTTPClient(
            force_instance=True, max_clients=1, max_body_size=MAX_ANSWER, max_header_size=64 << 10,
            max_buffer_size=MAX_ANSWER + (128 << 10), resolver=_Names())
        seconds = max(seconds, 0.001)
        try:
            return await client.fetch(HTTPRequest(
                self.hook.url + "/v1/logins", method="POST", body=body, follow_redirects=False,
                decompress_response=False, connect_timeout=seconds, request_timeout=seconds,
                headers={"Authorization": "Bearer " + secret, "Content-Type": "application/json"},
            ), raise_error=False)
        except Exception as e:
            raise _Away(type(e).__name__) from None  # its text may hold what came from outside
        finally:
            client.close()

    def read(self, response):
        code = response.code
        if code == 200:
            return _Admission(response.body)
        if code in (401, 403):
            raise _Failed("it does not accept the hook secret (%d): %s and the service's secrets: hook_secrets must "
                          "hold the same text" % (code, self.hook.secret.path or "secret= of satchel_hub.install"))
        if code in (404, 405):
            raise _Failed("%s has no /v1/logins (%d): SATCHEL_HUB_URL must be the service's listen.hub, not its "
                          "listen.students" % (self.hook.url, code))
        if code == 429:
            raise _Failed("too many logins at once (429)")
        if 400 <= code < 500:
            raise _Failed("the request was not understood (%d): install the satchel_hub.py of the service's version"
                          % code)
        raise _Away("it answered %d" % code)


def _image(spawner):
    """What is named where the agent did not run: the image, or where there is none the program."""
    image = getattr(spawner, "image", None)
    choice, allowed = (spawner.user_options or {}).get("image"), getattr(spawner, "allowed_images", None)
    if isinstance(choice, str) and isinstance(allowed, dict):
        image = allowed.get(choice, image)
    if not image and isinstance(spawner.cmd, (list, tuple)) and spawner.cmd:
        image = os.path.basename(str(spawner.cmd[0]))
    image = image if isinstance(image, str) and "\0" not in image else ""
    return image.encode("utf-8", "replace")[:MAX_NAME].decode("utf-8", "ignore")


def _check_allow(authenticator):
    """Since JupyterHub 5 nobody may log in unless told; the hub is up, and every login is refused."""

    def check():
        try:
            if getattr(authenticator, "any_allow_config", True) is False:
                Spawner._satchel.once(
                    authenticator.log, "nobody may log in, for no allow rule is set. In jupyterhub_config.py: "
                    "c.Authenticator.allow_all = True (whom the authenticator knows), or "
                    "c.Authenticator.allowed_users = {\"ana\"}")
        except Exception as e:
            authenticator.log.debug("Satchel: allow rules not looked at: %s", type(e).__name__)

    try:
        asyncio.get_running_loop().call_soon(check)  # a class may go on with its own __init__
    except RuntimeError:
        check()
