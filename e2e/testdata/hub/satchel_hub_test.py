"""What a hub cannot easily be brought to: images/hub/satchel_hub.py with real spawner classes and its own clock."""
import asyncio
import json
import logging
import os
import sys
import tempfile
import types
import unittest
from unittest import mock

import jupyterhub
from jupyterhub.auth import PAMAuthenticator
from jupyterhub.spawner import LocalProcessSpawner, SimpleLocalProcessSpawner
from traitlets.config import Config

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../../images/hub"))
import satchel_hub  # noqa: E402

KUBECONFIG = """
current-context: c
contexts: [{name: c, context: {cluster: c, user: u}}]
clusters: [{name: c, cluster: {server: "http://127.0.0.1:1"}}]
users: [{name: u, user: {}}]
"""
GOOD = {"format": 1, "ticket": "st1.k.p.m", "url": "http://satchel:8484", "keys": "ed25519:AAAA", "expires": "2026-03-02T21:00:00Z"}
SECRET = "the-hook-secret"


class Service:
    """Answers one request after another with what `answers` holds; the last one stays."""

    def __init__(self, *answers):
        self.answers, self.asked = list(answers), []

    async def __aenter__(self):
        self.server = await asyncio.start_server(self.serve, "127.0.0.1", 0)
        self.url = "http://127.0.0.1:%d" % self.server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_):
        self.server.close()

    async def serve(self, r, w):
        head = await r.readuntil(b"\r\n\r\n")
        length = int([h for h in head.lower().split(b"\r\n") if h.startswith(b"content-length")][0].split(b":")[1])
        self.asked.append((head.decode(), json.loads(await r.readexactly(length))))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        code, body = answer if isinstance(answer, tuple) else (200, json.dumps(answer).encode())
        w.write(b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n%b" % (code, len(body), body))
        await w.drain()
        w.close()


def student(name="ana", groups=("lab-a",), state=None):
    async def get_auth_state():
        return state() if callable(state) else state

    return types.SimpleNamespace(name=name, groups=[types.SimpleNamespace(name=g) for g in groups],
                                 get_auth_state=get_auth_state, url="/user/%s/" % name, id=1)


def made(cls=SimpleLocalProcessSpawner, user=None, config=None, **traits):
    if cls.__module__.startswith("kubespawner"):
        traits.update(_mock=True, events_enabled=False)
    return cls(config=config or Config(), user=user or student(), **traits)


def started(spawner):
    """Everything the hub calls before a server starts, and the spawn page."""
    async def go():
        async def page():
            return [e["message"] async for e in spawner.progress()]
        reading = asyncio.ensure_future(page())
        await asyncio.sleep(0)  # the page is read before the hook is done
        result = await jupyterhub.utils.maybe_future(spawner.run_pre_spawn_hook())
        return result, await asyncio.wait_for(reading, 10)
    return go()


class HubTest(unittest.IsolatedAsyncioTestCase):
    def setUp(self):
        self.log = logging.getLogger("traitlets")
        self.clock = 1000.0
        p = mock.patch.object(satchel_hub, "_now", lambda: self.clock)
        p.start()
        self.addCleanup(p.stop)

    def install(self, url, **how):
        how.setdefault("secret", SECRET)
        satchel_hub.install(None, url=url, **how)
        return satchel_hub.Spawner._satchel

    async def test_twice_is_once(self):
        async with Service(GOOD) as s:
            self.install(s.url)
            self.install(s.url)
            await started(made())
            self.assertEqual(len(s.asked), 1)
            head, login = s.asked[0]
            self.assertIn("Authorization: Bearer " + SECRET, head)
            self.assertEqual(login["user"], "ana")
            self.assertEqual(login["groups"], ["lab-a"])
            self.assertEqual(login["image"], "jupyterhub-singleuser")

    async def test_spawner_classes(self):
        from dockerspawner import DockerSpawner, SystemUserSpawner
        from kubespawner import KubeSpawner

        with tempfile.NamedTemporaryFile("w", delete=False) as f:
            f.write(KUBECONFIG)
        self.addCleanup(os.unlink, f.name)
        p = mock.patch("kubernetes_asyncio.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", f.name)
        p.start()
        self.addCleanup(p.stop)

        class Site(LocalProcessSpawner):
            def run_pre_spawn_hook(self):  # no super: a wrap of the base class would not see it
                return "the site's"

            async def progress(self):
                yield {"message": "one"}
                await asyncio.sleep(0)
                yield {"message": "two"}

        async with Service(dict(GOOD, courses=[{"course": "scala101", "version": 42}])) as s:
            self.install(s.url)
            for cls in (SimpleLocalProcessSpawner, DockerSpawner, SystemUserSpawner, KubeSpawner, Site):
                before = len(s.asked)
                spawner = made(cls)
                result, said = await started(spawner)
                self.assertEqual(len(s.asked), before + 1, cls)
                self.assertEqual(spawner.environment["SATCHEL_TICKET"], GOOD["ticket"], cls)
                if cls is Site:
                    self.assertEqual(result, "the site's")
                    self.assertEqual(sorted(said), ["Course material: version 42 is ready.", "one", "two"])
                if cls is DockerSpawner:
                    self.assertEqual(s.asked[-1][1]["image"], spawner.image)

    async def test_site_hooks(self):
        async def waits(spawner):
            await asyncio.sleep(0)
            spawner.environment["SITE"] = "async"
            return 7

        def raises(spawner):
            raise KeyError("the site's")

        async def cancels(spawner):
            raise asyncio.CancelledError

        async with Service(GOOD) as s:
            self.install(s.url)
            for hook in (None, waits, lambda spawner: 5):
                spawner = made(config=Config({"Spawner": {"pre_spawn_hook": hook}}))
                result, _ = await started(spawner)
                self.assertEqual(result, {None: None, waits: 7}.get(hook, 5))
                self.assertIn("SATCHEL_TICKET", spawner.environment)
                self.assertEqual("SITE" in spawner.environment, hook is waits)
            asked = len(s.asked)
            for hook, error in ((raises, KeyError), (cancels, asyncio.CancelledError)):
                spawner = made(config=Config({"SimpleLocalProcessSpawner": {"pre_spawn_hook": hook}}))
                with self.assertRaises(error):
                    await jupyterhub.utils.maybe_future(spawner.run_pre_spawn_hook())
            self.assertEqual(len(s.asked), asked)

    async def test_no_ticket_of_an_earlier_start(self):
        async with Service(GOOD, (500, b""), dict(GOOD, exchange=True), (500, b"")) as s:
            self.install(s.url)
            spawner = made(environment={"KEPT": "1", "JUPYTER_ENV_VARS_TO_UNSET": "OTHER"})
            await started(spawner)
            self.assertEqual(spawner.environment["JUPYTER_ENV_VARS_TO_UNSET"], "OTHER,SATCHEL_TICKET")
            await started(spawner)
            self.assertEqual(spawner.environment, {"KEPT": "1", "JUPYTER_ENV_VARS_TO_UNSET": "OTHER,SATCHEL_TICKET"})
            self.clock += satchel_hub.PAUSE
            await started(spawner)
            await started(spawner)  # away again, but a ticket can be had for the hub's token when it is back
            self.assertNotIn("SATCHEL_TICKET", spawner.environment)
            self.assertEqual(spawner.environment["SATCHEL_URL"], GOOD["url"])

    async def test_variables_to_unset(self):
        with_ticket = satchel_hub._with_ticket
        self.assertEqual(with_ticket(None), "SATCHEL_TICKET")
        self.assertEqual(with_ticket("A,SATCHEL_TICKET"), "A,SATCHEL_TICKET")
        self.assertEqual(with_ticket(lambda spawner: "A")(None), "A,SATCHEL_TICKET")
        self.assertEqual(with_ticket({"valueFrom": 1}), {"valueFrom": 1})

    async def test_one_tries_after_a_pause(self):
        async with Service((500, b""), (500, b""), GOOD) as s:
            self.install(s.url)
            for after, asked in ((0, 1), (1, 1), (satchel_hub.PAUSE - 2, 1), (1, 2), (1, 2), (satchel_hub.PAUSE, 3), (0, 4)):
                self.clock += after
                await started(made())
                self.assertEqual(len(s.asked), asked, "after %s more" % after)

    async def test_one_trial_at_a_time(self):
        async with Service((500, b"")) as s:
            self.install(s.url)
            await started(made())
            self.clock += satchel_hub.PAUSE
            await asyncio.gather(*(started(made()) for _ in range(5)))
            self.assertEqual(len(s.asked), 2)

    async def test_a_refusal_is_no_outage(self):
        for code, what in ((401, "must hold the same text"), (404, "listen.hub, not its listen.students"), (400, "not understood"), (429, "too many")):
            async with Service((code, b"{}")) as s:
                self.install(s.url)
                with self.assertLogs(level="ERROR") as log:
                    await started(made())
                    await started(made())
                self.assertEqual(len(s.asked), 2)
                self.assertIn(what, log.output[0])
                self.assertNotIn(SECRET, "".join(log.output))

    async def test_hostile_answers(self):
        def without(**change):
            return {k: v for k, v in dict(GOOD, **change).items() if v is not None}

        for bad in ([], "x", None, 7, without(ticket=None), without(url=None), without(keys=None), without(ticket=7), without(ticket=""),
                    without(ticket="a\0b"), without(ticket="a b"), without(ticket="a\nb"), without(ticket="t" * 2049),
                    without(ticket="{username}"), without(url="ftp://x"), without(url="http://x/{0}"), without(url="javascript:1"),
                    without(keys="k" * 20000), without(keys="é"), without(format=2), (200, b"{"), (200, b"[" * 100000),
                    (200, b'{"format":' + b"9" * 5000 + b"}"), (200, b"x" * (2 << 20)), (204, b""), (301, b"")):
            async with Service(bad) as s:
                self.install(s.url)
                spawner = made()
                with self.assertLogs(level="WARNING") as log:
                    _, said = await started(spawner)
                self.assertEqual(spawner.environment, {}, bad)
                self.assertEqual(said[-1] if said else "", satchel_hub.AWAY, bad)
                self.assertNotIn("Traceback", "".join(log.output))

    async def test_lines_of_the_page(self):
        def line(courses):
            return satchel_hub._Admission(json.dumps(dict(GOOD, courses=courses))).line()

        def course(i, **more):
            return dict({"course": "c%d" % i, "version": i}, **more)

        self.assertEqual(satchel_hub._Admission(json.dumps(GOOD)).line(), "")
        self.assertEqual(line([]), "")
        self.assertEqual(line([course(0)]), "")
        self.assertEqual(line([course(7)]), "Course material: version 7 is ready.")
        self.assertEqual(line([course(7), course(8)]), "Course material: c7 version 7 and c8 version 8 are ready.")
        self.assertEqual(line([course(i) for i in range(1, 6)]), "Course material: c1 version 1, c2 version 2, c3 version 3 and 2 more are ready.")
        for bad in ("x", {"a": 1}, [7], [[]], [course(1, version="1")], [course(1, version=True)], [course(1, course="<b>")], [course(1, version=1 << 60)]):
            self.assertEqual(line(bad), "", bad)

    async def test_groups(self):
        async def later(spawner, state):
            return {"x": 1, **state}

        async with Service(GOOD) as s:
            for groups, want in ((lambda spawner, state: [state["g"]], ["of-the-claim"]), (later, ["x", "g"]), (lambda *_: None, [])):
                self.install(s.url, groups=groups)
                await started(made(user=student(state={"g": "of-the-claim"})))
                self.assertEqual(s.asked[-1][1]["groups"], want)
            asked = len(s.asked)

            def fails(spawner, state):
                raise RuntimeError(SECRET)

            async def for_ever(spawner, state):
                try:
                    await asyncio.sleep(60)
                except asyncio.CancelledError:
                    await asyncio.sleep(60)  # will not be told

            def state_fails():
                raise ValueError

            for groups, state in ((fails, {}), (lambda *_: [7], {}), (lambda *_: 7, {}), (for_ever, {}), (later, state_fails)):
                hook = self.install(s.url, groups=groups, timeout=0.2)
                spawner = made(user=student(state=state))
                began = asyncio.get_running_loop().time()
                with self.assertLogs(level="ERROR") as log:
                    await started(spawner)
                self.assertLess(asyncio.get_running_loop().time() - began, 1)
                self.assertEqual(spawner.environment, {})
                self.assertFalse(hook.failing, "the service is not to blame")
                self.assertNotIn(SECRET, "".join(log.output))
            self.assertEqual(len(s.asked), asked)

    async def test_the_hub_cancels_a_start(self):
        async def silent(r, w):
            await asyncio.sleep(60)

        server = await asyncio.start_server(silent, "127.0.0.1", 0)
        hook = self.install("http://127.0.0.1:%d" % server.sockets[0].getsockname()[1])
        task = asyncio.ensure_future(made().run_pre_spawn_hook())
        await asyncio.sleep(0.05)
        task.cancel()
        with self.assertRaises(asyncio.CancelledError):
            await task
        self.assertFalse(hook.failing or hook.trying)
        server.close()

    async def test_the_secret_is_read_again(self):
        with tempfile.TemporaryDirectory() as d:
            path = os.path.join(d, "hook")
            async with Service(GOOD) as s:
                with self.assertLogs(level="ERROR") as log:
                    self.install(s.url, secret=None, secret_file=path)
                    await started(made())
                self.assertIn("cannot be read by the hub", log.output[0])
                for text in ("first", "second-one"):
                    with open(path, "w") as f:
                        f.write(text + "\n")
                    await started(made())
                    self.assertIn("Bearer " + text, s.asked[-1][0])

    async def test_what_is_missing_is_said(self):
        for url in ("", "satchel:8485", "http://", "http://user:" + SECRET + "@x", "http://x:port"):
            with self.assertLogs(level="ERROR") as log:
                self.install(url)
                await started(made())
            self.assertIn("SATCHEL_HUB_URL", log.output[0])
            self.assertNotIn(SECRET, "".join(log.output))

    async def test_warnings(self):
        from dockerspawner import DockerSpawner

        async with Service(GOOD) as s:
            self.install(s.url)
            with self.assertLogs(level="WARNING") as log:
                await started(made(DockerSpawner))
                await started(made(DockerSpawner))
            self.assertEqual(len([m for m in log.output if "c.DockerSpawner.remove = True" in m]), 1)
            with self.assertNoLogs(level="WARNING"):
                await started(made(DockerSpawner, remove=True))
        async with Service(dict(GOOD, exchange=True)) as s:
            self.install(s.url)
            with self.assertNoLogs(level="WARNING"):
                await started(made(DockerSpawner))
            for allow, warned in (({}, 1), ({"allow_all": True}, 0), ({"allowed_users": {"ana"}}, 0)):
                with self.assertLogs(level="DEBUG") as log:
                    self.log.debug("one line at least")
                    PAMAuthenticator(log=self.log, **allow)
                    await asyncio.sleep(0)
                self.assertEqual(sum("c.Authenticator.allow_all = True" in m for m in log.output), warned, allow)
            for version, warned in (((5, 5, 0), True), ((5, 5, 1), False), ((4, 9, 9), True), ((6, 1, 1), False)):
                with mock.patch.object(jupyterhub, "version_info", version + ("", "")), self.assertLogs(level="DEBUG") as log:
                    self.log.debug("one line at least")
                    self.install(s.url)
                self.assertEqual(any("jupyterhub>=5.5.1" in m for m in log.output), warned, version)

    async def test_nothing_shows_a_secret(self):
        hook = self.install("http://127.0.0.1:1")
        for shown in (repr(hook), repr(hook.secret), str(hook.secret)):
            self.assertNotIn(SECRET, shown)


if __name__ == "__main__":
    unittest.main()
