"""The hub of docker-compose.yml. Settings come from its environment, each
explained in deploy/compose.env.example; secrets from /run/satchel, which the
service "init" made."""

import os
from urllib.parse import urlsplit

import satchel_hub

c = get_config()  # noqa: F821
SECRETS = "/run/satchel"
DATA = "/srv/jupyterhub/data"


def setting(name, default=""):
    return os.environ.get(name) or default


def secret(name):
    with open(os.path.join(SECRETS, name)) as f:
        return f.read().strip()


# The hub itself. Its API listens on all of the container's networks: students'
# servers need it too. The proxy's own API stays on loopback.
c.JupyterHub.bind_url = "http://:8000"
c.JupyterHub.hub_ip = "0.0.0.0"
c.JupyterHub.hub_connect_ip = "hub"
c.JupyterHub.db_url = f"sqlite:///{DATA}/jupyterhub.sqlite"
c.JupyterHub.cookie_secret_file = f"{DATA}/cookie_secret"
# Caddy says whether the browser speaks https. The proxy would add its own "http"
# to that, the hub would believe the last word, and no cookie would be Secure.
c.ConfigurableHTTPProxy.command = ["configurable-http-proxy", "--no-x-forward"]
c.ConfigurableHTTPProxy.pid_file = f"{DATA}/proxy.pid"
# A restart of the hub's container ends no student's server.
c.JupyterHub.cleanup_servers = False

# Students' servers.
c.JupyterHub.spawner_class = "dockerspawner.DockerSpawner"
c.DockerSpawner.image = setting("SATCHEL_INSTANCE_IMAGE", "satchel/instance")
c.DockerSpawner.network_name = setting("SATCHEL_NETWORK", "satchel-students")
c.DockerSpawner.use_internal_ip = True
c.DockerSpawner.prefix = setting("SATCHEL_PREFIX", "satchel")
# A new container at each start: a resumed one keeps its old environment. With
# False the agent exchanges its hub token for a ticket (docs/jupyterhub.md).
c.DockerSpawner.remove = setting("SATCHEL_REMOVE", "yes") == "yes"
# A student's work outlives the container.
c.DockerSpawner.volumes = {"{prefix}-work-{username}": "/home/jovyan/work"}
c.DockerSpawner.notebook_dir = "/home/jovyan"
c.DockerSpawner.mem_limit = setting("SATCHEL_STUDENT_MEMORY", "1G")
c.DockerSpawner.cpu_limit = float(setting("SATCHEL_STUDENT_CPUS", "1"))
c.DockerSpawner.extra_host_config = {
    "security_opt": ["no-new-privileges"],
    "cap_drop": ["ALL"],
    "pids_limit": int(setting("SATCHEL_STUDENT_PROCESSES", "1000")),
    # Logs of a server that prints for ever do not fill the disk.
    "log_config": {"Type": "json-file", "Config": {"max-size": "10m", "max-file": "2"}},
}
c.JupyterHub.active_server_limit = int(setting("SATCHEL_SERVERS", "6"))
c.JupyterHub.concurrent_spawn_limit = int(setting("SATCHEL_SPAWNS", "3"))
c.Spawner.start_timeout = 120
c.Spawner.http_timeout = 60

# Over https no cookie goes in the clear, those against cross-site requests too:
# the hub and its servers make only the others Secure by themselves.
if not setting("SATCHEL_SITE", ":80").startswith((":", "http://")):
    c.JupyterHub.tornado_settings = {"xsrf_cookie_kwargs": {"secure": True}}
    c.Spawner.args = ["--ServerApp.tornado_settings={'xsrf_cookie_kwargs': {'secure': True}}"]

# Who may log in.
oauth = setting("SATCHEL_AUTH", "native") == "oauth"
# With a provider nobody is an administrator unasked: its "admin" may be anybody.
admins = set(setting("SATCHEL_ADMINS", "" if oauth else "admin").replace(",", " ").split())
c.Authenticator.admin_users = admins
c.Authenticator.allow_all = True
if oauth:
    from oauthenticator.generic import GenericOAuthenticator

    c.JupyterHub.authenticator_class = GenericOAuthenticator
    c.GenericOAuthenticator.client_id = setting("SATCHEL_OAUTH_CLIENT_ID")
    c.GenericOAuthenticator.client_secret = setting("SATCHEL_OAUTH_CLIENT_SECRET")
    c.GenericOAuthenticator.authorize_url = setting("SATCHEL_OAUTH_AUTHORIZE_URL")
    c.GenericOAuthenticator.token_url = setting("SATCHEL_OAUTH_TOKEN_URL")
    c.GenericOAuthenticator.userdata_url = setting("SATCHEL_OAUTH_USERDATA_URL")
    c.GenericOAuthenticator.oauth_callback_url = setting("SATCHEL_OAUTH_CALLBACK_URL")
    c.GenericOAuthenticator.scope = setting("SATCHEL_OAUTH_SCOPE", "openid profile").split()
    c.GenericOAuthenticator.username_claim = setting("SATCHEL_OAUTH_USERNAME", "preferred_username")
    if setting("SATCHEL_OAUTH_GROUPS"):
        c.GenericOAuthenticator.manage_groups = True
        c.GenericOAuthenticator.auth_state_groups_key = "oauth_user." + setting("SATCHEL_OAUTH_GROUPS")
        c.GenericOAuthenticator.enable_auth_state = True
        c.CryptKeeper.keys = [secret("crypt-key").ljust(64, "0").encode().hex()[:64]]
else:
    import nativeauthenticator
    from jupyterhub.utils import maybe_future
    from nativeauthenticator import NativeAuthenticator
    from tornado.web import HTTPError

    def from_the_list(handler):
        """A handler that is asked from the page /hub/authorize alone. It admits or removes people by a plain link,
        and a picture in somebody's notebook asks for addresses too."""

        class FromTheList(handler):
            async def prepare(self):
                await maybe_future(super().prepare())
                if urlsplit(self.request.headers.get("Referer", "")).path != self.hub.base_url + "authorize":
                    raise HTTPError(403, "Use the links of the page " + self.hub.base_url + "authorize.")

        return FromTheList

    class Native(NativeAuthenticator):
        """Sign-up by name and password; an administrator admits each at
        /hub/authorize. Administrators exist from the start: whoever signed up
        by such a name would be one."""

        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            for name in admins:
                if not self.user_exists(name):
                    self.create_user(name, secret("admin-password"))

        def get_handlers(self, app):
            return [
                (path, from_the_list(handler) if path.startswith(("/authorize/", "/discard/")) else handler)
                for path, handler in super().get_handlers(app)
            ]

    c.JupyterHub.authenticator_class = Native
    c.JupyterHub.template_paths = [os.path.join(os.path.dirname(nativeauthenticator.__file__), "templates")]
    c.NativeAuthenticator.open_signup = setting("SATCHEL_OPEN_SIGNUP", "no") == "yes"
    c.NativeAuthenticator.minimum_password_length = 8
    c.NativeAuthenticator.allowed_failed_logins = 10
    c.NativeAuthenticator.seconds_before_next_try = 60

# Servers that nobody uses are stopped.
c.JupyterHub.services = [
    {"name": "satchel", "api_token": secret("hub-token")},
    {
        "name": "idle-culler",
        "command": ["python3", "-m", "jupyterhub_idle_culler", "--timeout=" + setting("SATCHEL_IDLE_SECONDS", "3600")],
    },
]
c.JupyterHub.load_roles = [
    # The hookserver asks for a user's groups of today.
    {"name": "satchel", "scopes": ["read:users:name", "read:users:groups"], "services": ["satchel"]},
    {
        "name": "idle-culler",
        "scopes": ["list:users", "read:users:activity", "read:servers", "delete:servers"],
        "services": ["idle-culler"],
    },
]

# The one line of Satchel: a ticket for each server that starts.
satchel_hub.install(c, url="http://hookport:8485", secret_file=f"{SECRETS}/hook")
