//go:build e2e

package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"satchel/hook"
)

// lessons are the logins that go on all the time, and what became of them.
type lessons struct {
	r    *rotation
	over chan struct{}
	all  sync.WaitGroup

	published atomic.Int64 // what a login that begins now must bring

	mu      sync.Mutex
	done    map[string]int // by kind
	failed  []string
	resumed map[string]hook.Admission // environments of containers, by student
}

const (
	newLogin     = "a new server"
	resumedLogin = "a resumed container"
)

// Four classes of so many students: in two of them servers are started anew all
// the time, in two containers are resumed. Each logs in one after the other, so
// often: one student who came all the time would be slowed down.
const (
	classSize = 20
	loginEach = 150 * time.Millisecond
)

// startLessons begins.
func startLessons(r *rotation) *lessons {
	c := &lessons{r: r, over: make(chan struct{}), done: map[string]int{}, resumed: map[string]hook.Admission{}}
	for i := range 2 * classSize {
		c.resumed[fmt.Sprintf("resumed%d-%d", i/classSize, i%classSize)] = hook.Admission{}
	}
	c.remake()
	c.published.Store(int64(r.version))
	r.t.Cleanup(c.stop)
	for i := range 2 {
		c.loop(newLogin, fmt.Sprintf("new%d-", i), r.spawn)
		c.loop(resumedLogin, fmt.Sprintf("resumed%d-", i), func(name string) (hook.Admission, error) {
			c.mu.Lock()
			defer c.mu.Unlock()
			return c.resumed[name], nil
		})
	}
	return c
}

// remake makes the containers anew that are resumed: they have the keys of
// today, and a ticket that nobody takes any more, of a key from long ago.
func (c *lessons) remake() {
	for name := range c.resumed { // only written to here
		adm, err := c.r.spawn(name)
		must(c.r.t, err)
		adm.Ticket = staleTicket(c.r.t, name)
		c.mu.Lock()
		c.resumed[name] = adm
		c.mu.Unlock()
	}
}

func staleTicket(t testing.TB, user string) string {
	t.Helper()
	key, err := hook.ParseTicketKey([]byte("a key that this service had in another year"))
	must(t, err)
	now := time.Now().Add(-20 * time.Hour)
	text, err := hook.TicketKeys{key}.Mint(hook.Ticket{Audience: "satchel", User: user, Issued: now.Unix(), Login: now.Unix(), Expires: now.Add(hook.TicketLife).Unix(), ID: "stale"})
	must(t, err)
	return text
}

// spawn is what the hub's hook does, with the secret that its file holds now.
func (r *rotation) spawn(user string) (adm hook.Admission, err error) {
	secret, err := os.ReadFile(r.path("hub/hook-secret"))
	if err != nil {
		return adm, err
	}
	return r.spawnWith(user, strings.TrimSpace(string(secret)))
}

func (r *rotation) spawnWith(user, secret string) (adm hook.Admission, err error) {
	body, _ := json.Marshal(hook.Login{User: user, Groups: []string{}})
	req, _ := http.NewRequest(http.MethodPost, "http://"+r.hooks.hubs+"/v1/logins", bytes.NewReader(body))
	req.Header.Set("Authorization", "Bearer "+secret)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return adm, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return adm, fmt.Errorf("the hub's hook: %d", resp.StatusCode)
	}
	return adm, json.NewDecoder(resp.Body).Decode(&adm)
}

// agentOf is the agent in a student's server, which has the hub's token too.
func (r *rotation) agentOf(st *student, adm hook.Admission, args ...string) *exec.Cmd {
	c := st.agent(adm, args...)
	c.Env = append(c.Env, "SATCHEL_CA_FILE="+r.path("ca.pem"), "JUPYTERHUB_API_TOKEN=token-of-"+st.name, "JUPYTERHUB_API_URL="+r.hub.url)
	return c
}

// loop logs a class in again and again; each eighth server that is started anew
// finds an empty home the next time.
func (c *lessons) loop(kind, class string, admit func(name string) (hook.Admission, error)) {
	var students []*student
	for i := range classSize {
		students = append(students, c.r.student(fmt.Sprint(class, i)))
	}
	c.all.Go(func() {
		tick := time.NewTicker(loginEach)
		defer tick.Stop()
		for n := 0; ; n++ {
			select {
			case <-c.over:
				return
			case <-tick.C:
			}
			st, want := students[n%classSize], int(c.published.Load())
			adm, err := admit(st.name)
			if err == nil {
				err = c.bring(st, adm, want)
			}
			c.count(kind, st.name, err)
			if kind == newLogin && n%8 == 7 {
				_ = os.RemoveAll(st.folder())
				_ = os.RemoveAll(filepath.Join(st.root, ".satchel"))
			}
		}
	})
}

// bring is a login: at its end the newest version must be there.
func (c *lessons) bring(st *student, adm hook.Admission, want int) error {
	out, err := c.r.agentOf(st, adm, "sync").CombinedOutput()
	if err != nil {
		return fmt.Errorf("the agent: %w\n%s", err, out)
	}
	if got := drilled(st); got < want {
		return fmt.Errorf("version %d is there, %d was published\n%s", got, want, out)
	}
	return nil
}

// drilled is the version in a home.
func drilled(st *student) int {
	text, err := os.ReadFile(filepath.Join(st.folder(), "drill.txt"))
	if err != nil {
		return 1 // the first has no such file
	}
	n, _ := strconv.Atoi(strings.TrimSpace(string(text)))
	return n
}

func (c *lessons) count(kind, name string, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.done[kind]++
	if err != nil {
		c.failed = append(c.failed, fmt.Sprintf("%s: %s of %s: %v", time.Now().Format("15:04:05.000"), kind, name, err))
	}
}

// counts are the logins of each kind, and those that failed.
func (c *lessons) counts() (fresh, resumed, failed int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.done[newLogin], c.done[resumedLogin], len(c.failed)
}

// more waits until so many more logins of each kind are over: those that were
// under way as it was called, and others that began afterwards.
func (c *lessons) more(n int) {
	c.r.t.Helper()
	fresh, resumed, _ := c.counts()
	eventually(c.r.t, 3*time.Minute, "more logins", func() error {
		if f, s, _ := c.counts(); f < fresh+n || s < resumed+n {
			return fmt.Errorf("%d new and %d resumed since", f-fresh, s-resumed)
		}
		return nil
	})
}

func (c *lessons) stop() {
	select {
	case <-c.over:
	default:
		close(c.over)
	}
	c.all.Wait()
}
