//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"satchel/agent"
	"satchel/course"
	"satchel/hookserver"
	"satchel/internal/config"
	"satchel/internal/hub"
	"satchel/internal/students"
	"satchel/source"
	"satchel/store"
	"satchel/syncer"
)

func (a *app) doctorCommand() *cobra.Command {
	var user string
	c := &cobra.Command{
		Use: "doctor", GroupID: "run", Args: noArgs,
		Short: "Try everything that depends on this site, and say what to do",
		Long: `Tries each promise that depends on where the service runs: configuration, keys and
their permissions, the disks, the store and its conditional writes, the clock
against the store's and the hub's, the syncer and the last webhooks, the
hookservers, the address for students, whether the hub's port answers there, the
hub's API and what its token may do, each repository with its host key, and whether
its deploy key may write (a push is begun, and nothing sent: a plain SSH server
does not tell). Each finding says what to do. Nothing is changed but a scratch
object in the store, which is taken away again.

Where syncer and hookserver have containers apart, SATCHEL_HALF names the one that
this is, and each tries what is its own.

What only a student's container can see (that it reaches neither the hook's port,
nor S3, nor the cloud's metadata), "satchel-agent doctor" tries there.

With --user: that student's last login, step by step.

Exit codes: 0 all is well · 1 something is not.`,
		Example: "  satchel doctor\n  satchel doctor --user ana\n  satchel doctor --json",
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := a.loadUsable()
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(c.Context(), 2*time.Minute)
			defer cancel()
			if user != "" {
				a.warnBroken(cfg)
				return a.tellChecks(a.doctorUser(ctx, cfg, user))
			}
			half, err := a.half("")
			if err != nil {
				return err
			}
			return a.tellChecks(a.doctor(ctx, cfg, half))
		},
	}
	c.Flags().StringVar(&user, "user", "", "tell one student's last login, step by step")
	return c
}

// checks gathers findings. The order is that of the questions.
type checks struct{ all []agent.Check }

func (c *checks) well(name, note string, args ...any) {
	c.all = append(c.all, agent.Check{Name: name, OK: true, Note: fmt.Sprintf(note, args...)})
}

func (c *checks) not(name, do, note string, args ...any) {
	c.all = append(c.all, agent.Check{Name: name, Stop: true, Note: fmt.Sprintf(note, args...), Do: do})
}

var errNotWell = errors.New("something is not well")

// tellChecks shows the findings.
func (a *app) tellChecks(all []agent.Check) error {
	if agent.WriteChecks(a.out, all, a.json) != 0 {
		return errNotWell
	}
	return nil
}

func (a *app) doctor(ctx context.Context, cfg *config.Config, half config.Half) []agent.Check {
	c := &checks{}
	c.configuration(cfg, half)
	st, err := openStore(ctx, a.logger(), cfg)
	if err != nil {
		c.not("store", "see `store` in "+cfg.File, "%v", err)
		return c.all
	}
	c.disks(cfg)
	c.store(ctx, cfg, st, half)
	if half.Has(config.Syncer) {
		c.syncer(ctx, cfg)
	}
	c.hookservers(ctx, cfg, st)
	if half.Has(config.Hookserver) {
		c.shown(ctx, cfg)
		c.students(ctx, cfg)
		c.hubPort(ctx, cfg)
		c.hub(ctx, cfg)
	}
	c.courses(ctx, cfg, st, half)
	c.otherHalf(half)
	return c.all
}

// otherHalf says what was not tried, where the halves have containers apart.
func (c *checks) otherHalf(half config.Half) {
	switch half {
	case config.Syncer:
		c.well("elsewhere", "this is the syncer: the address for students, the hub's port and the hub's API are tried by `satchel doctor` in the hookserver's container")
	case config.Hookserver:
		c.well("elsewhere", "this is the hookserver: the syncer, the webhooks and the repositories are tried by `satchel doctor` in the syncer's container")
	}
}

func (c *checks) configuration(cfg *config.Config, half config.Half) {
	stops, warned, _ := cfg.CheckSecrets(half)
	for _, b := range texts(cfg.Broken) {
		c.not("configuration", "mend it: a running service keeps its former configuration, and none starts with it", "%s", b)
	}
	for _, s := range texts(stops) {
		c.not("configuration", "mend it; `satchel config check` reads it again", "%s", s)
	}
	for _, w := range texts(warned) {
		c.not("configuration", "mend it; `satchel config check` reads it again", "%s", w)
	}
	if len(stops)+len(warned)+len(cfg.Broken) == 0 {
		c.well("configuration", "%s, with %s", cfg.File, plural(len(cfg.Courses), "course"))
	}
}

// store tries what publishes and logins need of the store, and its clock. The
// hookserver's own key to it may write no more than receipts.
func (c *checks) store(ctx context.Context, cfg *config.Config, st store.Store, half config.Half) {
	where := cfg.Store.Dir
	if cfg.Store.S3 != nil {
		where = "bucket " + cfg.Store.S3.Bucket
	}
	if half.Has(config.Syncer) {
		if err := store.CheckConditions(ctx, st); err != nil {
			c.not("store", "see that the service may read, write and list it", "%s: %v", where, err)
			return
		}
		c.well("store", "%s honours conditional writes", where)
	}
	for o, err := range st.List(ctx, "courses/", "") {
		switch {
		case err != nil:
			c.not("store", "see that the service may read and list it", "%s: %v", where, err)
			return
		case cfg.Store.S3 != nil && !o.Now.IsZero():
			c.clock("the store's", time.Until(o.Now))
		}
		break
	}
	if !half.Has(config.Syncer) {
		c.well("store", "%s can be read", where)
	}
}

func (c *checks) clock(whose string, off time.Duration) {
	if off.Abs() > time.Minute {
		c.not("clock", "set this machine's clock (NTP): until then nothing is published", "%s clock differs by %s", whose, off.Abs().Round(time.Second))
		return
	}
	c.well("clock", "as %s, within %s", whose, max(time.Second, off.Abs().Round(time.Second)))
}

func (c *checks) syncer(ctx context.Context, cfg *config.Config) {
	status, err := syncer.NewClient(cfg.Listen.Control).Status(ctx)
	if err != nil {
		c.not("syncer", "where it runs elsewhere, ask there; else start it: `satchel serve`, or `satchel syncer`", "%v", err)
		return
	}
	c.well("syncer", "answers on %s", cfg.Listen.Control)
	for _, s := range status.Courses {
		name := "course " + s.Course
		switch {
		case s.Error != "":
			c.not(name, "", "%s", s.Error)
		case s.Paused != nil:
			c.not(name, "satchel resume "+s.Course, "paused by %s%s: students are given nothing new", s.Paused.Who, because(s.Paused.Why))
		case s.Pin != nil:
			c.not(name, "satchel resume "+s.Course, "rolled back to version %d by %s%s: newer commits wait", s.Pin.Version, s.Pin.Who, because(s.Pin.Why))
		default:
			c.well(name, "version %d, looked at %s", s.Version, ago(time.Now(), s.Checked))
		}
		if !s.Webhook.IsZero() {
			c.well(name, "the last webhook came %s, from %s", ago(time.Now(), s.Webhook), s.WebhookFrom)
		} else if i := slices.IndexFunc(cfg.Courses, func(k course.Course) bool { return string(k.Name) == s.Course }); i >= 0 && cfg.Courses[i].Webhook != nil {
			c.well(name, "no webhook came since the syncer was started; where one should have, see its last deliveries at the git host: %s", cfg.WebhookURL(s.Course))
		}
	}
}

func (c *checks) hookservers(ctx context.Context, cfg *config.Config, st store.Store) {
	all, err := store.Presences(ctx, st, time.Now())
	switch {
	case err != nil:
		c.not("hookserver", "see `store`", "%v", err)
	case len(all) == 0:
		c.not("hookserver", "start it: `satchel serve`, or `satchel hookserver`", "none has said within three minutes that it is there")
	default:
		var ids []string
		for _, p := range all {
			ids = append(ids, p.ID)
		}
		c.well("hookserver", "%s: %s", plural(len(all), "hookserver"), strings.Join(ids, ", "))
	}
	for _, k := range cfg.Courses {
		r, _, err := store.ReadRecord(ctx, st, string(k.Name))
		if err != nil {
			continue // the course's own check tells
		}
		for _, p := range all {
			switch v := p.Courses[string(k.Name)]; {
			case v == 0 && len(p.Courses) == 0:
				c.well("hookserver", "%s was started within a minute, and has not said yet what it gives out", p.ID)
			case v < r.Version && spokeSince(p, r):
				c.not("hookserver", "see its log", "%s gives out version %d of %s, where %d is published", p.ID, v, k.Name, r.Version)
			}
		}
	}
}

// shown tells what students' servers showed to the hookserver here: a head that
// none of today's keys signed.
func (c *checks) shown(ctx context.Context, cfg *config.Config) {
	for _, s := range served(ctx, reachable(cfg.Listen.Hub)) {
		if s.Code == hookserver.CodeForeignHead {
			c.all = append(c.all, agent.Check{Name: "course " + s.Course, Note: s.Note, Do: "see \"Signing key\" in docs/rotation.md"})
		}
	}
}

// spokeSince says whether a hookserver has spoken since that version was
// published and it had time to look.
func spokeSince(p store.Presence, r *store.Record) bool {
	if r.Head == nil {
		return false
	}
	h, err := r.Head.Peek()
	return err == nil && p.Time.Sub(h.Published) > store.PresenceEvery/2
}

func (c *checks) hub(ctx context.Context, cfg *config.Config) {
	if cfg.Hub.APIURL == "" {
		c.well("hub", "its API is not configured: containers that are resumed get no fresh ticket (set c.DockerSpawner.remove = True), and groups are those of the login")
		return
	}
	token, err := config.ReadSecret(cfg.Hub.TokenFile)
	if err != nil {
		c.not("hub", "satchel init makes it; it is also the api_token of a service in jupyterhub_config.py", "%v", err)
		return
	}
	h, err := hub.New(cfg.Hub.APIURL, token.Reveal, cfg.CAFile)
	if err != nil {
		c.not("hub", "correct hub.api_url, or ca_file", "%v", err)
		return
	}
	defer h.Close()
	// A name that no hub has: who may read users is told that there is none.
	if _, err := h.Groups(ctx, "satchel-doctor-nobody"); err != nil && !errors.Is(err, hub.ErrUnknown) {
		c.not("hub", "see hub.api_url, hub.token_file, and that the service in jupyterhub_config.py has the scopes read:users:name and read:users:groups", "%v", err)
		return
	}
	c.well("hub", "its API answers at %s", cfg.Hub.APIURL)
	c.ownToken(ctx, h)
}

// checkRepositories asks each repository, a few at once.
func checkRepositories(ctx context.Context, cfg *config.Config) []agent.Check {
	found := make([][]agent.Check, len(cfg.Courses))
	var wg sync.WaitGroup
	slots := make(chan struct{}, 4)
	for i := range cfg.Courses {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			found[i] = checkRepository(ctx, &cfg.Courses[i])
		})
	}
	wg.Wait()
	return slices.Concat(found...)
}

// courses tells of each course: its repository, its students.
func (c *checks) courses(ctx context.Context, cfg *config.Config, st store.Store, half config.Half) {
	if half.Has(config.Syncer) {
		c.all = append(c.all, checkRepositories(ctx, cfg)...)
	}
	for _, k := range cfg.Courses {
		c.proven(ctx, cfg, st, string(k.Name))
		c.summary(ctx, st, string(k.Name))
	}
}

// proven tells of a course of which students hold more than the store.
func (c *checks) proven(ctx context.Context, cfg *config.Config, st store.Store, name string) {
	keys, err := publicKeys(cfg)
	if err != nil {
		return // configuration tells
	}
	v, err := syncer.Proven(ctx, st, name, keys)
	if err == nil && v > 0 {
		c.not("course "+name, "bring the store's newest backup back, or `satchel check "+name+" --repair`", "the store is older than what students hold (version %d)", v)
	}
}

// checkRepository asks for the branch with what the course is configured to
// show, and whether that may write.
func checkRepository(ctx context.Context, k *course.Course) []agent.Check {
	name := "repository of " + string(k.Name)
	dir, err := os.MkdirTemp("", "satchel-doctor-")
	if err != nil {
		return []agent.Check{{Name: name, Note: err.Error()}}
	}
	defer os.RemoveAll(dir)
	m, err := source.NewMirror(slog.New(slog.DiscardHandler), dir, syncer.RemoteOf(k), source.Options{Idle: 15 * time.Second})
	var commit string
	if err == nil {
		commit, err = m.Tip(ctx)
	}
	if err != nil {
		return []agent.Check{{Name: name, Stop: true, Note: err.Error(), Do: "the sentence says it; `satchel status` shows when it last worked"}}
	}
	note := fmt.Sprintf("branch %s is at %.10s", k.Branch, commit)
	if len(syncer.RemoteOf(k).KeyFiles) > 0 {
		note += "; its host key is the one in " + k.KnownHostsFile
	}
	if in := m.LetIn(); in != "" {
		note += "; let in by " + in
	}
	return append([]agent.Check{{Name: name, OK: true, Note: note}}, checkWriting(ctx, m, name)...)
}

// summary tells of agents that did not run, and of such as trust only an old
// key.
func (c *checks) summary(ctx context.Context, st store.Store, name string) {
	s, err := students.Summarize(ctx, st, name, time.Now())
	if err != nil || s == nil {
		return
	}
	if s.DidNotRun > 0 {
		c.not("agents of "+name, "see that their image has the agent and runs it (docs/jupyterhub.md)", "after %s no agent ran", plural(s.DidNotRun, "login"))
	}
}
