# A real hub for tests: loopback only, servers without OS users, all state below one folder. hub_test.go writes
# hub.json, and appends to this file what a test wants otherwise.
import json
import os
import sys

c = get_config()  # noqa: F821
here = os.path.dirname(os.path.abspath(__file__))
with open(os.path.join(here, "hub.json")) as f:
    o = json.load(f)

c.JupyterHub.bind_url = "http://127.0.0.1:%d" % o["ports"][0]
c.JupyterHub.hub_bind_url = "http://127.0.0.1:%d" % o["ports"][1]
c.ConfigurableHTTPProxy.api_url = "http://127.0.0.1:%d" % o["ports"][2]
c.ConfigurableHTTPProxy.command = [o["proxy"]]
c.ConfigurableHTTPProxy.pid_file = here + "/proxy.pid"
c.JupyterHub.db_url = "sqlite:///" + here + "/hub.sqlite"
c.JupyterHub.cookie_secret_file = here + "/cookie_secret"
c.JupyterHub.cleanup_servers = c.JupyterHub.cleanup_proxy = True  # a hub that stops leaves nothing
c.JupyterHub.allow_named_servers = True

c.JupyterHub.spawner_class = "simple"
c.SimpleLocalProcessSpawner.home_dir_template = here + "/home/{username}"
c.Spawner.cmd = [o["agent"], "run", "--", os.path.dirname(sys.executable) + "/jupyterhub-singleuser"]
c.Spawner.default_url = "/lab"
c.Spawner.http_timeout = c.Spawner.start_timeout = 90
c.Spawner.env_keep = ["PATH", "LANG", "JUPYTER_PATH"]
c.Spawner.environment = {"SATCHEL_LANG": "en"}

c.JupyterHub.authenticator_class = "dummy"
c.DummyAuthenticator.password = o["password"]
c.Authenticator.allow_all = True
c.Authenticator.admin_users = {"boss"}

c.JupyterHub.load_groups = {name: {"users": users} for name, users in o["groups"].items()}
c.JupyterHub.services = [{"name": "test", "api_token": o["token"]}]
c.JupyterHub.load_roles = [{"name": "test", "services": ["test"], "scopes": ["admin:users", "admin:servers"]}]

sys.path.insert(0, o["hook"])
