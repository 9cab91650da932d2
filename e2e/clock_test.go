//go:build e2e

package e2e

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"
)

// shifted is the site's S3 server behind something that moves the Date of its
// answers: to whoever asks there, the own clock is off by as much the other
// way. A process's clock itself cannot be moved without moving the machine's;
// and not by more than some minutes, for the SDK signs by the Date that it sees
// and the server behind does not take what is older (years: by a clock that is a
// value, in package syncer; a student's clock so too, in agent and workdir, for
// a program linked statically asks the kernel without any library between).
func (s *site) shifted(off time.Duration) (store string) {
	s.t.Helper()
	endpoint := regexp.MustCompile(`http://[0-9.:]+`).FindString(s.store)
	to, err := url.Parse(endpoint)
	must(s.t, err)
	back := httputil.NewSingleHostReverseProxy(to) // the Host, which is signed, stays
	back.ModifyResponse = func(r *http.Response) error {
		r.Header.Set("Date", time.Now().Add(off).UTC().Format(http.TimeFormat))
		return nil
	}
	web := httptest.NewServer(back)
	s.t.Cleanup(web.Close)
	return strings.Replace(s.store, endpoint, web.URL, 1)
}

// TestE2EAWrongClockPublishesNothing: a syncer whose clock is more than a
// minute from the store's says so and publishes nothing, neither a push nor a
// head signed anew; students are served meanwhile, also by a hookserver with
// such a clock.
func TestE2EAWrongClockPublishesNothing(t *testing.T) {
	s := newSiteWithoutSSH(t)
	s.onS3()
	right := s.store
	good := s.configure("good", "").run("syncer")
	s.published(good, 1)
	must(t, good.stop())
	s.repo.set("lab1/next.md", "next\n")
	s.repo.push("next")
	for name, off := range map[string]time.Duration{"ahead": -10 * time.Minute, "behind": 10 * time.Minute, "two": 2 * time.Minute} {
		s.store = s.shifted(off)
		bad := s.configure(name, "").run("syncer")
		front := s.configure(name+"-front", "").run("hookserver")
		front.ready(1)
		ana := s.student("ana-" + name)
		ana.sync(front.login(ana.name))
		for range 2 {
			if out, code := s.trySatchel("publish", "scala101", "--config", bad.config); code == 0 || !strings.Contains(out, "differ by") {
				t.Errorf("%s: exit %d: %s", name, code, out)
			}
		}
		if said := s.statusOf(bad); !strings.Contains(said, "differ by") {
			t.Errorf("%s: the status does not say it: %s", name, said)
		}
		if got := s.publishes(bad); len(got) != 1 {
			t.Errorf("%s: %d versions", name, len(got))
		}
		must(t, bad.stop())
		must(t, front.stop())
	}
	s.store = s.shifted(30 * time.Second) // all machines differ a little
	s.published(s.configure("nearly", "").run("syncer"), 2)
	s.store = right
	front := s.configure("front", "").run("hookserver")
	front.ready(2)
	eva := s.student("eva")
	eva.sync(front.login("eva"))
	equalFolder(t, s, eva)
}
