# The hub of "make try-hub": on loopback, with servers that are processes of one user. It shows the way of the
# material; it keeps nobody apart from anybody.
import os
import sys

c = get_config()  # noqa: F821
here, root, port = os.environ["TRY_HUB_DIR"], os.environ["TRY_HUB_ROOT"], int(os.environ["TRY_HUB_PORT"])
hub_port, proxy_port = os.environ["TRY_HUB_INNER_PORTS"].split(",")

c.JupyterHub.bind_url = "http://127.0.0.1:%d" % port
c.JupyterHub.hub_bind_url = "http://127.0.0.1:" + hub_port
c.ConfigurableHTTPProxy.api_url = "http://127.0.0.1:" + proxy_port
c.ConfigurableHTTPProxy.command = [os.environ["TRY_HUB_PROXY"]]
c.ConfigurableHTTPProxy.pid_file = here + "/proxy.pid"
c.JupyterHub.db_url = "sqlite:///" + here + "/hub.sqlite"
c.JupyterHub.cookie_secret_file = here + "/cookie_secret"
c.JupyterHub.cleanup_servers = c.JupyterHub.cleanup_proxy = True

c.JupyterHub.authenticator_class = "shared-password"
c.SharedPasswordAuthenticator.user_password = os.environ["TRY_HUB_PASSWORD"]
c.Authenticator.allowed_users = {"ana", "ben"}

c.JupyterHub.spawner_class = "simple"
c.SimpleLocalProcessSpawner.home_dir_template = here + "/home/{username}"
c.Spawner.default_url = "/lab"
c.Spawner.env_keep = ["PATH", "LANG", "JUPYTER_PATH"]
c.Spawner.cmd = [root + "/bin/satchel-agent", "run", "--", os.path.dirname(sys.executable) + "/jupyterhub-singleuser"]

# All that a hub needs for Satchel; SATCHEL_HUB_URL and SATCHEL_HOOK_SECRET_FILE are in its environment.
sys.path.insert(0, root + "/images/hub")
import satchel_hub  # noqa: E402

satchel_hub.install(c)
