//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"satchel/internal/s3server"
	"satchel/store"
	"satchel/syncer"
)

// TestCommandsRace: two syncers of one configuration on one store, commanders who
// type commands at either at once, pushes through a real sshd; one syncer is
// stopped for moments, the other killed now and then. Whatever came first:
// there is one history, and each command took effect once or said why not.
// SATCHEL_FULL plays more of it.
func TestCommandsRace(t *testing.T) {
	commands := 40
	if full {
		commands = 400
	}
	t.Run("folder", func(t *testing.T) {
		s := newSite(t)
		st, err := store.NewDir(s.path("conf/store"))
		must(t, err)
		defer st.Close()
		raceCommands(t, s, st, commands)
	})
	t.Run("s3", func(t *testing.T) {
		s := newSite(t)
		endpoint, access, secret := s3server.Start(t)
		c := s3server.Bucket(t, endpoint, access, secret)
		s.store = fmt.Sprintf("{s3: {bucket: %s, endpoint: %q, region: us-east-1}}", c.Bucket, endpoint)
		s.env = []string{"AWS_ACCESS_KEY_ID=" + access, "AWS_SECRET_ACCESS_KEY=" + secret, "AWS_EC2_METADATA_DISABLED=true"}
		st, err := store.NewS3(t.Context(), c)
		must(t, err)
		raceCommands(t, s, st, commands)
	})
}

// typed is one command that somebody typed, and what it printed.
type typed struct {
	args       []string
	why        string // in the log, for this one alone
	from, to   time.Time
	code       int
	printed    string
	outcome    syncer.Outcome    // where code is 0
	withdrawal syncer.Withdrawal // of withdraw
}

func (c *typed) kind() string { return c.args[0] }

func (c *typed) String() string {
	return fmt.Sprintf("%s: exit %d: %s", strings.Join(c.args, " "), c.code, strings.TrimSpace(c.printed))
}

const commanders = 4

func raceCommands(t *testing.T, s *site, st store.Store, n int) {
	began := time.Now()
	syncers := []*service{s.configure("s0", "").run("syncer"), s.configure("s1", "").run("syncer")}
	eventually(t, time.Minute, "the first version", func() error {
		if out, code := s.trySatchel("publish", "scala101", "--config", syncers[0].config); code != 0 {
			return fmt.Errorf("%s", out)
		}
		return nil
	})
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	done, results := make(chan *typed), []*typed{}
	var typing, freezing sync.WaitGroup
	for i := range commanders {
		rng := rand.New(rand.NewPCG(uint64(i), 11))
		typing.Go(func() {
			for k := range n / commanders {
				done <- s.typeCommand(rng, syncers[rng.IntN(2)].config, fmt.Sprintf("person %d, command %d", i, k))
			}
		})
	}
	freezing.Go(func() { keepFreezing(ctx, syncers[:1]) })
	go func() { typing.Wait(); close(done) }()
	pushes, kills := 0, 0
	for c := range done {
		results = append(results, c)
		if len(results)%3 == 0 {
			pushes++
			pushSome(s.repo, pushes)
		}
		if len(results)%20 == 0 {
			kills++
			syncers[1].kill()
			syncers[1].run("syncer")
		}
	}
	stop()
	freezing.Wait()
	syncers[0].signal(syscall.SIGCONT)
	r := &raceReport{t: t, s: s, st: st, typed: results}
	r.rest(syncers)
	r.judge(syncers[0])
	t.Logf("%d commands (%s), %d pushes, %d kills, %d versions, %.0f s", len(results), r.kinds(), pushes, kills, r.record.Version, time.Since(began).Seconds())
}

// typeCommand runs one command that rng chooses.
func (s *site) typeCommand(rng *rand.Rand, config, why string) *typed {
	c := &typed{why: why, from: time.Now()}
	version := fmt.Sprint(1 + rng.IntN(12))
	switch k := rng.IntN(12); {
	case k < 3:
		c.args = []string{"publish", "scala101"}
		if rng.IntN(2) == 0 {
			c.args = append(c.args, "--confirm-shrink")
		}
	case k < 5:
		c.args = []string{"pause", "scala101", "--why", why}
	case k < 8:
		c.args = []string{"resume", "scala101", "--why", why}
	case k < 10:
		c.args = []string{"rollback", "scala101", version, "--why", why}
	case k < 11:
		c.args = []string{"withdraw", "scala101", "leak.txt", "--yes", "--why", why}
	default:
		c.args = []string{"withdraw", "scala101", version, "--yes", "--why", why}
	}
	x := exec.Command(filepath.Clean(binary(s.t, "satchel")), append(c.args, "--json", "--config", config)...)
	x.Env = append(x.Environ(), s.env...)
	out, err := x.CombinedOutput()
	c.to, c.printed, c.code = time.Now(), string(out), x.ProcessState.ExitCode()
	if err == nil && c.kind() == "withdraw" {
		err = json.Unmarshal(out, &c.withdrawal)
	} else if err == nil {
		err = json.Unmarshal(out, &c.outcome)
	}
	if c.code == 0 && err != nil {
		s.t.Errorf("%s: %v", c, err)
	}
	return c
}

// pushSome changes a file, and brings or takes away what leaks: always one of
// a few contents, so that what was withdrawn is pushed again.
func pushSome(r *repository, n int) {
	r.set("count.txt", fmt.Sprintln(n))
	r.set("leak.txt", []string{"secret one\n", "", "secret two\n", "secret one\n"}[n%4])
	r.set("copy.txt", []string{"", "secret one\n", "copy\n"}[n%3])
	r.push(fmt.Sprint("push ", n))
}
