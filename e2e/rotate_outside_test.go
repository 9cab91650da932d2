//go:build e2e

package e2e

import (
	"fmt"
	"strings"
	"time"

	"satchel/hook"
	"satchel/store"
)

// The keys that others check: the hub, S3, and whoever sees the certificate.

func (d *drill) hubToken() {
	old := strings.TrimSpace(d.read("conf/secrets/hub-token"))
	d.make("secret", "conf/secrets/hub-token-2")
	next := d.read("conf/secrets/hub-token-2")
	d.hub.trust(strings.TrimSpace(next), true) // the hub has both services
	was := d.taken()
	d.replace("conf/secrets/hub-token", next)
	d.takenUp(was)
	d.expectDoctor("its API answers at " + d.hub.url)
	d.hub.trust(old, false)
	adm, err := d.spawn("renewing")
	must(d.t, err)
	c := hook.NewClient(hook.ClientOptions{URL: d.front.url, Ticket: func() string { return adm.Ticket }, CAFile: d.path("ca.pem")})
	defer c.Close()
	if _, err := c.Renew(d.t.Context()); err != nil { // asks the hub for the groups
		d.t.Errorf("a renewal: %v", err)
	}
}

func (d *drill) s3Credentials() {
	const said = `"msg":"S3 credentials taken up"`
	for half, v := range map[string]*service{"syncer": d.syncer, "hookserver": d.hooks} {
		d.s3.Add(half+"-2", "secret-of-"+half+"-2")
		d.replace("conf/secrets/s3-"+half, credentialsFile(half+"-2"))
		d.syncer.publish() // asks the store
		eventually(d.t, time.Minute, half+" says that it uses the new key", func() error {
			if out := v.output(); !strings.Contains(out, said) || !strings.Contains(out, `"access_key":"`+half+`-2"`) {
				return fmt.Errorf("not in its log")
			}
			return nil
		})
	}
	d.push()
	for _, half := range []string{"syncer", "hookserver"} {
		d.s3.Remove(half + "-1")
		if err := d.opensStore(half + "-1"); err == nil {
			d.t.Errorf("the S3 server takes the old key of the %s", half)
		}
		if err := d.opensStore(half + "-2"); err != nil {
			d.t.Errorf("the new key of the %s: %v", half, err)
		}
	}
}

// stolenS3Credentials ends the old key first: until the next is there the
// hookserver answers from what it has.
func (d *drill) stolenS3Credentials() {
	d.s3.Remove("hookserver-2")
	d.more(classSize)
	d.s3.Add("hookserver-3", "secret-of-hookserver-3")
	d.replace("conf/secrets/s3-hookserver", credentialsFile("hookserver-3"))
}

// opensStore asks the bucket with one access key.
func (d *drill) opensStore(access string) error {
	d.t.Helper()
	d.t.Setenv("AWS_ACCESS_KEY_ID", access)
	d.t.Setenv("AWS_SECRET_ACCESS_KEY", "secret-of-"+access)
	s, err := store.NewS3(d.t.Context(), store.S3Config{Bucket: d.bucket, Endpoint: d.s3.Endpoint})
	must(d.t, err)
	return s.Check(d.t.Context())
}

func (d *drill) expectDoctor(says string) {
	d.t.Helper()
	if out, _ := d.trySatchel("doctor", "--config", d.hooks.config); !strings.Contains(out, says) {
		d.t.Errorf("doctor does not say %q:\n%s", says, out)
	}
}

func (d *drill) certificate() {
	next := newAuthority(d.t, "second authority")
	first := d.path("first.pem")
	d.replace("first.pem", d.authority.pem)
	d.replace("ca.pem", d.authority.pem+next.pem) // also of the service: it is its ca_file
	d.more(5)
	d.front.show(next)
	d.front.cutStreams()
	d.push()
	d.arrives()
	d.more(5)
	d.replace("ca.pem", next.pem)
	d.front.cutStreams()
	d.more(5)
	d.expectDoctor("number " + d.front.number() + `, by "second authority"`)
	st := d.student("trusts-the-first")
	adm, err := d.spawn(st.name)
	must(d.t, err)
	c := st.agent(adm, "sync")
	c.Env = append(c.Env, "SATCHEL_CA_FILE="+first)
	if out, code := runProgram(d.t, c); code == 0 {
		d.t.Errorf("an agent that trusts the old authority alone: exit 0\n%s", out)
	}
}
