//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"satchel/hook"
	"satchel/internal/release"
)

// termReport is what a term came to.
type termReport struct {
	Size    termSize    `json:"size"`
	Courses []termBrief `json:"courses"`
	Weeks   []*termWeek `json:"weeks"`
	Alone   []aloneCost `json:"alone"`
}

type termBrief struct {
	Name     string `json:"name"`
	Students int    `json:"students"`
	End      int64  `json:"planned_bytes"` // of material when fifteen weeks are over
}

// termWeek is one week. Bytes, and seconds of processor time.
type termWeek struct {
	Week     int   `json:"week"`
	Pushes   int   `json:"pushes"`
	Fulls    int   `json:"fulls"`    // full bundles written
	Pruned   int   `json:"pruned"`   // bundles deleted
	Material int64 `json:"material"` // at the repositories' tips
	Store    int64 `json:"store"`    // of the courses, with log and record
	Named    int64 `json:"named"`    // of it, what records name
	termCounts
	ServiceLogins float64 `json:"service_logins"` // while students logged in
	ServiceNews   float64 `json:"service_news"`   // while nobody did: taking up what was published
	Syncer        float64 `json:"syncer"`
	Memory        int64   `json:"memory"`        // the most that the service had
	SyncerMemory  int64   `json:"syncer_memory"` // the most that the syncer had
	Seconds       float64 `json:"seconds"`       // by the clock on the wall, with making the material
}

const termHead = "| week | pushes | material MB | store MB | of it, named by records MB | logins | sent MB | requests | of them 304 | service CPU s | of it, while pushes came s | syncer CPU s | service memory MB | syncer memory MB |\n|---|---|---|---|---|---|---|---|---|---|---|---|---|---|"

func (w *termWeek) row() string {
	name := fmt.Sprint(w.Week)
	if w.Week == 0 {
		name = "all"
	}
	mb := func(n int64) string { return short(float64(n) / 1e6) }
	return fmt.Sprintf("| %s | %d | %s | %s | %s | %d | %s | %d | %d | %s | %s | %s | %s | %s |", name, w.Pushes, mb(w.Material), mb(w.Store), mb(w.Named),
		w.Logins, mb(w.Sent), w.requests(), w.NotModified, short(w.ServiceLogins+w.ServiceNews), short(w.ServiceNews), short(w.Syncer), mb(w.Memory), mb(w.SyncerMemory))
}

// sum adds weeks up; of what is there at a week's end it gives the last.
func sum(weeks []*termWeek) *termWeek {
	var out termWeek
	for _, w := range weeks {
		out.Pushes, out.Fulls, out.Pruned = out.Pushes+w.Pushes, out.Fulls+w.Fulls, out.Pruned+w.Pruned
		out.Material, out.Store, out.Named = w.Material, w.Store, w.Named
		out.termCounts = out.termCounts.minus(termCounts{}.minus(w.termCounts))
		out.ServiceLogins, out.ServiceNews, out.Syncer = out.ServiceLogins+w.ServiceLogins, out.ServiceNews+w.ServiceNews, out.Syncer+w.Syncer
		out.Memory, out.SyncerMemory = max(out.Memory, w.Memory), max(out.SyncerMemory, w.SyncerMemory)
		out.Seconds += w.Seconds
	}
	return &out
}

// describe says what is played, and begins the table.
func (tm *term) describe() {
	many := map[*termCourse]int{}
	kinds := map[string]int{}
	for _, s := range tm.students {
		switch {
		case s.seldom:
			kinds["seldom"]++
		case s.away:
			kinds["away"]++
		}
		for _, e := range s.in {
			many[e.c]++
		}
	}
	fmt.Printf("\nA term of %d weeks, %d courses, %d students (seed %d), %d logins. Real: repositories, syncer (its clock is simulated), folder store, hookserver (a process), tickets, HTTP over loopback without TLS.\n\n",
		tm.size.Weeks, tm.size.Courses, tm.size.Students, tm.size.Seed, tm.planned())
	fmt.Printf("Students: first login in the first two weeks, then 3 to 5 logins a week; %d come once in two weeks, %d of the others are away for weeks in the middle; one question a login, a receipt for each course that changed, one login in a hundred asks for contents by digest. %d of them keep and check every byte.\n\n", kinds["seldom"], kinds["away"], tm.keepers())
	fmt.Printf("Courses (students, MB after 15 weeks; a third of it at the beginning): ")
	for i, c := range tm.courses {
		b := termBrief{Name: c.name, Students: many[c]}
		for _, s := range c.kit {
			b.End += int64(s.n * s.size)
		}
		tm.report.Courses = append(tm.report.Courses, b)
		if i > 0 {
			fmt.Print(", ")
		}
		fmt.Printf("%s %d %s", b.Name, b.Students, short(float64(b.End)/1e6))
	}
	fmt.Printf("\n\n%s\n", termHead)
}

func (tm *term) keepers() (n int) {
	for _, s := range tm.students {
		if s.kept != nil {
			n++
		}
	}
	return n
}

func (r *termReport) print() {
	all := sum(r.Weeks)
	fmt.Println(all.row())
	fmt.Printf("\n%d full bundles written, %d bundles pruned, %d requests for contents by digest, %d receipts, %d answers of a limit\n", all.Fulls, all.Pruned, all.Asked, all.Receipts, all.Limited)
	n, logins := float64(r.Size.Students), float64(all.Logins)
	fmt.Printf("\n| | |\n|---|---|\n")
	fmt.Printf("| requests a login | %.2f (one, and receipts and contents) |\n", float64(all.requests())/logins)
	fmt.Printf("| service CPU a login, with its receipts and bytes | %.3f ms |\n", all.ServiceLogins/logins*1e3)
	fmt.Printf("| sent for each student and week, all weeks | %s kB |\n", short(float64(all.Sent)/n/float64(len(r.Weeks))/1e3))
	if len(r.Weeks) > 2 {
		late := sum(r.Weeks[2:])
		fmt.Printf("| service CPU a login, from the third week on | %.3f ms |\n", late.ServiceLogins/float64(late.Logins)*1e3)
		fmt.Printf("| sent for each student and week, from the third week on | %s kB |\n", short(float64(late.Sent)/n/float64(len(r.Weeks)-2)/1e3))
	}
	fmt.Printf("| service CPU for a push (taking it up, all looks meanwhile) | %.1f ms |\n", all.ServiceNews/float64(all.Pushes)*1e3)
	fmt.Printf("| syncer CPU for a push (full bundles, signing, prune included) | %.1f ms |\n", all.Syncer/float64(all.Pushes)*1e3)
	fmt.Printf("\nAlone, one after the other, by a service that was started anew:\n\n| | times | CPU µs each | memory MB before, after |\n|---|---|---|---|\n")
	for _, x := range r.Alone {
		memory := ""
		if x.After > 0 {
			memory = fmt.Sprintf("%s, %s", short(float64(x.Before)/1e6), short(float64(x.After)/1e6))
		}
		fmt.Printf("| %s | %d | %s | %s |\n", x.What, x.Times, short(x.CPU/float64(x.Times)*1e6), memory)
	}
}

// aloneCost is what one thing costs when nothing else happens.
type aloneCost struct {
	What   string  `json:"what"`
	Times  int     `json:"times"`
	CPU    float64 `json:"cpu"`              // seconds, of all together
	Before int64   `json:"before,omitempty"` // bytes of memory
	After  int64   `json:"after,omitempty"`
}

// alone measures the parts of which a term is made.
func (tm *term) alone() (out []aloneCost) {
	must(tm.t, tm.v.stop())
	tm.v.run("hookserver")
	eventually(tm.t, time.Minute, "the service is back", tm.caughtUp)
	all := tm.students
	end := tm.at(tm.size.Weeks*partsOfWeek - 1)
	// Who has the newest from here on asks with an etag of the last day.
	must(tm.t, tm.atOnce(all, func(ctx context.Context, s *attendee) error { return s.login(ctx, tm, end) }))
	some := all[:min(len(all), 2000)] // four seconds' worth of posted logins come at once
	out = append(out, tm.cost("a login posted by the hub's hook", some, func(ctx context.Context, s *attendee) error {
		_, err := tm.line.post(ctx, s)
		return err
	}))
	anew := &http.Client{Transport: tm.line.transport(true)}
	return append(out,
		tm.cost("nothing new (304), on a connection that is kept", all, tm.nothingNew(tm.line.http, true)),
		tm.cost("nothing new (304), on a new connection", all, tm.nothingNew(anew, true)),
		tm.cost("nothing new, asked without an etag (heads at hand are older than a day)", all, tm.nothingNew(tm.line.http, false)),
		tm.cost("a receipt", all, func(ctx context.Context, s *attendee) error {
			ticket, err := tm.line.mint(s)
			if err != nil {
				return err
			}
			e := s.in[0]
			return tm.line.with(tm.line.http, ticket).Receipt(ctx, hook.Receipt{Course: e.c.name, Version: e.have.Version, Agent: release.Version, Changed: 1})
		}),
		tm.streams(all), tm.looks(), tm.fold())
}

// atOnce lets students do something, a few at once.
func (tm *term) atOnce(all []*attendee, do func(context.Context, *attendee) error) error {
	g, ctx := errgroup.WithContext(tm.ctx())
	g.SetLimit(atOnceInTerm)
	for _, s := range all {
		g.Go(func() error { return do(ctx, s) })
	}
	return g.Wait()
}

func (tm *term) cost(what string, all []*attendee, do func(context.Context, *attendee) error) aloneCost {
	tm.t.Helper()
	return aloneCost{What: what, Times: len(all), CPU: tm.spentIn(func() { must(tm.t, tm.atOnce(all, do)) })}
}

// nothingNew asks with what a student has, with the last answer's etag or
// without. Only with it the service may say 304.
func (tm *term) nothingNew(h *http.Client, etag bool) func(context.Context, *attendee) error {
	return func(ctx context.Context, s *attendee) error {
		ticket, err := tm.line.mint(s)
		if err != nil {
			return err
		}
		tag := ""
		if etag {
			tag = s.etag
		}
		a, err := tm.line.with(h, ticket).Sync(ctx, s.haves(), tm.line.keyIDs, tag)
		if err != nil {
			return err
		}
		defer a.Close()
		if a.NotModified != etag {
			return errors.New("there was something new")
		}
		if _, _, _, err := a.Next(); !errors.Is(err, io.EOF) {
			return fmt.Errorf("a frame came, and nothing is new: %w", err)
		}
		return nil
	}
}

// streams opens an event stream for each student, as the watch of a server
// that runs holds one, and weighs the service with them.
func (tm *term) streams(all []*attendee) aloneCost {
	tm.t.Helper()
	out := aloneCost{What: "an event stream, opened and held", Times: len(all), Before: memoryNow(tm.t, tm.v.cmd.Process.Pid)}
	ctx, stop := context.WithCancel(tm.ctx())
	var begun, open sync.WaitGroup
	defer open.Wait()
	defer stop()
	out.CPU = tm.spentIn(func() {
		for _, s := range all {
			begun.Add(1)
			open.Go(func() {
				once := sync.OnceFunc(begun.Done)
				defer once()
				ticket, err := tm.line.mint(s)
				if err == nil {
					err = tm.line.with(tm.line.http, ticket).Events(ctx, func(e hook.Event) error {
						once()
						return nil
					})
				}
				if ctx.Err() == nil {
					tm.t.Errorf("an event stream ended: %v", err)
				}
			})
		}
		begun.Wait()
	})
	out.After = memoryNow(tm.t, tm.v.cmd.Process.Pid)
	if n := tm.v.metric("satchel_listeners")[""]; int(n) != len(all) {
		tm.t.Errorf("%.0f event streams are open, not %d", n, len(all))
	}
	return out
}

// memoryNow is the memory that a process has now, bytes.
func memoryNow(t testing.TB, pid int) int64 {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	must(t, err)
	_, rest, _ := strings.Cut(string(status), "VmRSS:")
	n := int64(0)
	_, err = fmt.Sscanf(rest, "%d kB", &n)
	must(t, err)
	return n << 10
}

// looks are the syncer's at repositories in which nothing is new.
func (tm *term) looks() aloneCost {
	const each = 20
	out := aloneCost{What: "the syncer's look at a repository on this disk, nothing new", Times: each * len(tm.courses)}
	end := tm.at(tm.size.Weeks*partsOfWeek - 1)
	for range each {
		for _, c := range tm.courses {
			a := tm.order("look", c.name, laterOf(end, c.checked))
			if a.Outcome.Published || a.Outcome.Signed {
				tm.t.Errorf("%s: a look changed something: %+v", c.name, a.Outcome)
			}
			out.CPU += a.CPU
		}
	}
	return out
}

// fold brings what the service wrote down about students into their records.
// The service writes at most three lines at once and one a minute about a
// student, so of a term that is over in minutes it writes only a part.
func (tm *term) fold() aloneCost {
	must(tm.t, tm.v.stop()) // it writes what it has left
	a := tm.order("fold", "", time.Time{})
	if a.Lines == 0 {
		tm.t.Fatal("nothing was written down about students")
	}
	return aloneCost{What: "the syncer folds a line about a student", Times: a.Lines, CPU: a.CPU}
}
