//go:build e2e

package e2e

import (
	"fmt"
	"net/http"
	"net/url"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"
)

const nativeAuthenticator = `
import nativeauthenticator
c.JupyterHub.authenticator_class = "native"
c.JupyterHub.template_paths = [os.path.dirname(nativeauthenticator.__file__) + "/templates"]
c.NativeAuthenticator.open_signup = False
`

// TestHubNativeAuthenticator: who signs up and is let in has the material.
// With JupyterHub 6 that authenticator (1.3.0) answers every login with 500.
func TestHubNativeAuthenticator(t *testing.T) {
	s := newSite(t)
	v := s.configure("one", "").run("serve")
	v.ready(1)
	h := s.hub(hubOptions{version: "5.5.4", config: nativeAuthenticator + v.withHook()})
	boss, ana := h.person("boss"), h.person("ana")
	for _, p := range []*person{boss, ana} {
		if got := p.form("/hub/signup", url.Values{"username": {p.name}, "signup_password": {hubPassword}, "signup_password_confirmation": {hubPassword}}); got.code != http.StatusOK {
			t.Fatalf("sign up: %d %s", got.code, alertOf(got.text))
		}
	}
	if got := ana.form("/hub/login", url.Values{"username": {"ana"}, "password": {hubPassword}}); got.code == http.StatusFound {
		t.Fatal("ana was let in before she was authorised")
	}
	boss.login()
	if got := boss.follow("/hub/authorize/ana"); got.code != http.StatusOK {
		t.Fatalf("authorise: %d %s", got.code, alertOf(got.text))
	}
	if said := ana.login().spawn(""); !slices.Contains(said, "Course material: version 1 is ready.") {
		t.Errorf("the spawn page said %q", said)
	}
	h.hasOnly("ana", "scala101", s.repo)
}

// genericOAuth asks a provider, and gives Satchel the groups of a claim.
const genericOAuth = `
provider = "http://127.0.0.1:%d"
c.JupyterHub.authenticator_class = "generic-oauth"
c.GenericOAuthenticator.client_id, c.GenericOAuthenticator.client_secret = "hub", "secret-of-the-hub"
c.GenericOAuthenticator.oauth_callback_url = c.JupyterHub.bind_url + "/hub/oauth_callback"
c.GenericOAuthenticator.authorize_url = provider + "/oauth2/authorize"
c.GenericOAuthenticator.token_url = provider + "/oauth2/token"
c.GenericOAuthenticator.userdata_url = provider + "/userinfo"
c.GenericOAuthenticator.scope = ["openid", "profile"]
c.GenericOAuthenticator.username_claim = "preferred_username"
c.Authenticator.enable_auth_state = True
c.CryptKeeper.keys = [os.urandom(32)]

async def groups_of_claim(spawner, auth_state):
    return auth_state["oauth_user"]["lab_groups"]
`

// TestHubGenericOAuth: an OpenID Connect provider says who somebody is, and
// its claim says what they get.
func TestHubGenericOAuth(t *testing.T) {
	s := newSite(t)
	v, algo := s.twoCourses()
	port := freePort(t)
	c := exec.Command(hubProgram(t, "6.1.1", "oidc-provider-mock"), "-p", fmt.Sprint(port),
		"--user-claims", `{"sub": "1001", "preferred_username": "ana", "lab_groups": ["lab-a"]}`,
		"--user-claims", `{"sub": "1002", "preferred_username": "ben", "lab_groups": ["lab-b", "staff"]}`)
	provider := startCommand(t, s.dir, c)
	eventually(t, time.Minute, "the provider", func() error {
		if provider.ended() {
			t.Fatal(provider.output())
		}
		resp, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/.well-known/openid-configuration", port))
		if err == nil {
			resp.Body.Close()
		}
		return err
	})
	h := s.hub(hubOptions{version: "6.1.1", config: fmt.Sprintf(genericOAuth, port) + v.withHook("groups=groups_of_claim")})

	for name, subject := range map[string]string{"ana": "1001", "ben": "1002"} {
		p := h.person(name)
		asked := p.follow("/hub/oauth_login")
		if asked.code != http.StatusOK || !strings.Contains(asked.location, "/oauth2/authorize") {
			t.Fatalf("the provider's page: %d %s", asked.code, asked.location)
		}
		back := p.do(http.MethodPost, asked.location, url.Values{"sub": {subject}})
		if back = p.do(http.MethodGet, back.location, nil); back.code != http.StatusFound {
			t.Fatalf("the way back: %d %s", back.code, alertOf(back.text))
		}
		if said := p.spawn(""); !slices.Contains(said, "Course material: version 1 is ready.") && !slices.Contains(said, "Course material: version 2 is ready.") {
			t.Errorf("the spawn page of %s said %q", name, said)
		}
	}
	h.hasOnly("ana", "scala101", s.repo)
	h.hasOnly("ben", "algo101", algo)
}
